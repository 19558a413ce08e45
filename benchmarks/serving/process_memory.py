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
