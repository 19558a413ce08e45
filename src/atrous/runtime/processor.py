"""The processor that networks run on: its cores, its name, its load, and whether bf16 is fast."""

import os
import platform
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # "200000 100000": two cores' time; or "max ..."
STAT = Path("/proc/stat")
MOST_IDLE, MOST_OTHERS = 0.1, 0.1  # shares of all cores' time; beyond them others are in the way


def available_cores(quota_file: Path = CGROUP_QUOTA) -> int:
    """How many cores this process may keep busy: its affinity, and a container's quota."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    if quota_file.is_file():
        quota, period = quota_file.read_text().split()
        if quota != "max":
            cores = min(cores, max(1, int(quota) // int(period)))
    return cores


def processor_name(info_file: Path = CPU_INFO) -> str:
    """The model's name and number, and what it can do: machines of one name may differ in that."""
    facts = _facts(info_file)
    name = facts.get("model name") or platform.processor() or platform.machine()
    kinds = [
        flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in _flags(facts)
    ]
    return " ".join([name, f"model {facts['model']}" if "model" in facts else "", *kinds]).strip()


@cache  # a training asks in every step
def guess_fast_bf16(info_file: Path = CPU_INFO) -> bool | None:
    """Whether bf16 should be faster than fp32, where nothing was measured; None: not known.

    True with AMX, and with the AVX-512 BF16 of AMD. Intel's, where AMX is missing or hidden by a
    hypervisor, multiplies no faster than fp32 does, and OpenVINO loses time converting.
    """
    facts = _facts(info_file)
    if "flags" not in facts:
        return None
    flags = _flags(facts)
    amd = facts.get("vendor_id") == "AuthenticAMD"
    return "amx_bf16" in flags or (amd and "avx512_bf16" in flags)


def _facts(info_file: Path) -> dict[str, str]:
    """What Linux says of the first core; empty elsewhere."""
    if not info_file.is_file():
        return {}
    first_core = info_file.read_text().split("\n\n")[0]
    pairs = (line.partition(":") for line in first_core.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _flags(facts: dict[str, str]) -> list[str]:
    return facts.get("flags", "").split()


@dataclass(frozen=True)
class ProcessorTime:
    """Processor seconds since some beginning: of the whole machine, idle, and of this process."""

    total_s: float
    idle_s: float
    own_s: float

    @classmethod
    def now(cls, stat_file: Path = STAT) -> "ProcessorTime | None":
        """The times at present; None where the system does not say (not Linux)."""
        if not stat_file.is_file():
            return None
        ticks = [int(word) for word in stat_file.read_text().split("\n", 1)[0].split()[1:9]]
        seconds = [tick / os.sysconf("SC_CLK_TCK") for tick in ticks]
        return cls(sum(seconds), seconds[3], time.process_time())

    def crowded_until(self, end: "ProcessorTime") -> bool:
        """Whether other programs kept this one from cores, from here to `end`."""
        total = end.total_s - self.total_s
        idle, own = end.idle_s - self.idle_s, end.own_s - self.own_s
        others = total - idle - own
        return total > 0 and idle < MOST_IDLE * total and others > MOST_OTHERS * total
