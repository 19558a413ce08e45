"""How much memory this process holds, and giving back what it freed."""

import ctypes
import gc
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

STATUS = Path("/proc/self/status")
KIBIBYTE = 1024


def resident_bytes() -> int | None:
    """Memory of this process that is in RAM; None where the system does not say (not Linux)."""
    if not STATUS.is_file():
        return None
    lines = STATUS.read_text().splitlines()
    [size] = [line.split()[1] for line in lines if line.startswith("VmRSS:")]
    return int(size) * KIBIBYTE


def give_back_freed() -> None:
    """Return freed memory to the system; a compiler leaves hundreds of megabytes of it behind."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's alone
        if trim is not None:
            trim(0)


@dataclass(frozen=True)
class Mark:
    """Where a measurement began."""

    resident: int | None
    number: int
    alone: bool


class GrowthMeter:
    """By how much the process grew while something was loaded, where nothing else was."""

    def __init__(self) -> None:
        """Begin with nothing in work."""
        self._lock = threading.Lock()
        self._begun = self._running = 0

    def begin(self) -> Mark:
        """Note the memory before a load, without what is freed already."""
        give_back_freed()
        with self._lock:
            self._begun += 1
            self._running += 1
            return Mark(resident_bytes(), self._begun, alone=self._running == 1)

    def end(self, mark: Mark) -> int | None:
        """Bytes since `mark`; None where another load went on beside it, or nothing is known."""
        give_back_freed()
        with self._lock:
            self._running -= 1
            alone = mark.alone and mark.number == self._begun
        now = resident_bytes()
        return now - mark.resident if alone and now and mark.resident else None
