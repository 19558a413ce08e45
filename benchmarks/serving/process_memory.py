"""How much memory a process takes, as Linux counts it."""

import re
from pathlib import Path

MIB = 1024


def peak_mib(pid: int) -> float | None:
    """Most memory resident at once since the start or `forget_peak`; None where /proc is not."""
    return _field(pid, "VmHWM")


def resident_mib(pid: int) -> float | None:
    """Memory resident now; None where /proc is not."""
    return _field(pid, "VmRSS")


def own_mib(pid: int) -> float | None:
    """Memory that is the process's own now, resident or swapped out; None where /proc is not.

    Other than `resident_mib` without pages of files, as of libraries, which the system takes back
    and reads again as it likes.
    """
    parts = [_field(pid, name) for name in ("RssAnon", "VmSwap")]
    return sum(part for part in parts if part is not None) if None not in parts else None


def available_bytes() -> int | None:
    """What programs can still get without swapping; None where /proc is not."""
    try:
        text = Path("/proc/meminfo").read_text()
    except OSError:
        return None
    found = re.search(r"^MemAvailable:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def forget_peak(pid: int) -> None:
    """Let the peak start anew from what is resident now, where the system allows it."""
    path = Path(f"/proc/{pid}/clear_refs")
    if path.exists():
        path.write_text("5")


def _field(pid: int, name: str) -> float | None:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    found = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) / MIB if found else None
