import os
from pathlib import Path

import pytest

from atrous.runtime.processor import (
    ProcessorTime,
    available_cores,
    guess_fast_bf16,
    processor_name,
)


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_cores_are_those_of_the_affinity_within_the_quota(tmp_path: Path) -> None:
    whole = available_cores(tmp_path / "absent")
    assert 1 <= whole <= (os.cpu_count() or 1)
    assert available_cores(written(tmp_path / "max", "max 100000\n")) == whole
    assert available_cores(written(tmp_path / "one", "150000 100000\n")) == 1
    assert available_cores(written(tmp_path / "half", "50000 100000\n")) == 1
    assert available_cores(written(tmp_path / "many", "99900000 100000\n")) == whole


@pytest.mark.parametrize(
    ("vendor", "flags", "fast"),
    [
        ("GenuineIntel", "fpu avx512_bf16 amx_bf16", True),
        ("GenuineIntel", "fpu avx512f avx512_bf16", False),  # AMX hidden by a hypervisor
        ("AuthenticAMD", "fpu avx512f avx512_bf16", True),
        ("AuthenticAMD", "fpu avx2", False),
    ],
)
def test_what_is_known_of_bf16(tmp_path: Path, vendor: str, flags: str, fast: bool) -> None:
    facts = ("processor: 0", f"vendor_id\t: {vendor}", "model\t: 7", "model name\t: Fast 1")
    text = "\n".join([*facts, f"flags\t: {flags}", ""])
    info = written(tmp_path / "cpuinfo", f"{text}\n{text}")
    assert guess_fast_bf16(info) is fast
    name = processor_name(info)
    assert name.startswith("Fast 1 model 7")
    assert ("amx_bf16" in name) == ("amx_bf16" in flags)


def test_elsewhere_nothing_is_known_of_bf16(tmp_path: Path) -> None:
    assert guess_fast_bf16(tmp_path / "absent") is None
    assert processor_name(tmp_path / "absent")


def test_a_machine_is_crowded_where_others_leave_nothing_idle() -> None:
    start = ProcessorTime(total_s=100.0, idle_s=50.0, own_s=1.0)

    def crowded(idle_s: float, own_s: float) -> bool:
        """Ten seconds later, of which so many were idle or our own."""
        return start.crowded_until(ProcessorTime(110.0, 50.0 + idle_s, 1.0 + own_s))

    assert not crowded(idle_s=5.0, own_s=2.0)  # others work, and there are idle cores
    assert not crowded(idle_s=0.0, own_s=9.5)  # it is all ours
    assert crowded(idle_s=0.5, own_s=4.0)
    assert not start.crowded_until(start)


def test_times_are_those_of_the_system(tmp_path: Path) -> None:
    stat = written(tmp_path / "stat", "cpu  100 0 200 700 0 0 0 0 0 0\ncpu0 1 1\n")
    now = ProcessorTime.now(stat)
    assert now is not None
    assert now.idle_s == 0.7 * now.total_s
    assert now.own_s > 0
    assert ProcessorTime.now(tmp_path / "absent") is None
