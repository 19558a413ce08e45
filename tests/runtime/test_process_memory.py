import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from atrous.runtime import process_memory
from atrous.runtime.process_memory import GrowthMeter, give_back_freed, resident_bytes, reuse_freed

linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
MIB = 1 << 20


@linux
def test_growth_is_that_of_what_was_made_meanwhile() -> None:
    meter = GrowthMeter()
    mark = meter.begin()
    held = np.ones(64 * MIB, np.uint8)
    grown = meter.end(mark)
    assert grown is not None
    assert 60 * MIB < grown < 80 * MIB
    assert held[-1] == 1


@linux
def test_what_was_freed_is_given_back() -> None:
    give_back_freed()
    before = resident_bytes()
    blocks = [bytearray(b"1" * 100_000) for _ in range(600)]  # small ones: kept by malloc
    kept = blocks[::200]
    del blocks
    give_back_freed()
    after = resident_bytes()
    assert before is not None
    assert after is not None
    assert after - before < 10 * MIB
    assert len(kept) == 3


# Six blocks of 3 MiB, written to and freed, in a thread, as a request does it.
ROUNDS = """
import resource, threading
import numpy as np
from atrous.runtime.process_memory import reuse_freed
assert reuse_freed()
def work():
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        blocks = [np.ones(3 << 20, np.uint8) for _ in range(6)]
        del blocks
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
faults = []
thread = threading.Thread(target=work)
thread.start()
thread.join()
print(faults[-1])
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators have no such limit")
def test_pages_of_freed_blocks_are_used_again() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ROUNDS], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 200  # 3,800 where the blocks went back to the system


# What of a library is resident before and after, KiB, once it is used again.
LIBRARY = """
from llvmlite import binding
from atrous.runtime.process_memory import forget_library

def resident():
    facts = open("/proc/self/smaps").read().split("VmFlags")
    sizes = [line for fact in facts if "libllvmlite" in fact for line in fact.splitlines()]
    return sum(int(line.split()[1]) for line in sizes if line.startswith("Rss:"))

binding.initialize_native_target()
before = resident()
forget_library("llvmlite")
print(before, resident())
binding.initialize_native_asmprinter()
assert binding.get_host_cpu_name()
"""


@linux
def test_a_library_leaves_memory_and_can_be_used_again() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIBRARY], capture_output=True, text=True, check=True
    )
    before, after = map(int, done.stdout.split())
    assert after < before / 2


def test_a_system_that_hides_what_is_loaded_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(process_memory, "MAPS", tmp_path / "maps")
    monkeypatch.setattr(process_memory.ctypes, "CDLL", None)  # must not be asked
    process_memory.forget_library("llvmlite")


# What eight threads free that all worked at once, MiB that stay.
THREADS = """
import threading
import numpy as np
from atrous.runtime.process_memory import resident_bytes, reuse_freed
assert reuse_freed()
all_there = threading.Barrier(9)
def work():
    blocks = [np.ones(3 << 20, np.uint8) for _ in range(8)]
    all_there.wait(60)
    del blocks
    all_there.wait(60)
    all_there.wait(60)
threads = [threading.Thread(target=work) for _ in range(8)]
before = resident_bytes()
for thread in threads:
    thread.start()
all_there.wait(60)
all_there.wait(60)
print((resident_bytes() - before) >> 20)
all_there.wait(60)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators have no arenas")
def test_few_threads_keep_what_they_freed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", THREADS], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 130  # 192 where each thread keeps its own


def test_other_systems_keep_their_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert reuse_freed() is False


def test_two_at_once_can_not_be_told_apart() -> None:
    meter = GrowthMeter()
    first, second = meter.begin(), meter.begin()
    assert meter.end(first) is None
    assert meter.end(second) is None
    third = meter.begin()
    assert (meter.end(third) is None) == (resident_bytes() is None)
