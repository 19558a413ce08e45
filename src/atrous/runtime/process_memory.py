"""How much memory this process holds, and what becomes of memory that it frees."""

import ctypes
import gc
import mmap
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

STATUS, MAPS = Path("/proc/self/status"), Path("/proc/self/maps")
KIBIBYTE = 1024
# Names of glibc's malloc.h, mallopt(3).
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -2, -3, -4, -8
KEPT_BLOCK_BYTES, KEPT_BYTES = 16 << 20, 32 << 20  # more than a photo of 1 megapixel takes
ARENAS = 2  # parts of memory that threads take blocks from; by default 8 a core, each keeps its own


def resident_bytes() -> int | None:
    """Memory of this process that is in RAM; None where the system does not say (not Linux)."""
    if not STATUS.is_file():
        return None
    lines = STATUS.read_text().splitlines()
    [size] = [line.split()[1] for line in lines if line.startswith("VmRSS:")]
    return int(size) * KIBIBYTE


def reuse_freed() -> bool:
    """Have glibc keep freed blocks for the next photo, up to `KEPT_BYTES` in each of its arenas.

    By default a photo's pixels and masks go back to the system after each request, which then
    takes milliseconds to give zeroed pages for the next. Gives whether it was set.
    """
    kept = {M_MMAP_THRESHOLD: KEPT_BLOCK_BYTES, M_TRIM_THRESHOLD: KEPT_BYTES}
    return set_malloc({**kept, M_ARENA_MAX: ARENAS})


def set_malloc(options: Mapping[int, int]) -> bool:
    """Set options of malloc by their numbers, and give whether all were: only glibc has them."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return False
    results = [mallopt(option, value) for option, value in options.items()]
    return all(result == 1 for result in results)


def give_back_freed() -> None:
    """Return freed memory to the system; a compiler leaves hundreds of megabytes of it behind."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's alone
        if trim is not None:
            trim(0)


def forget_library(name: str) -> None:
    """Leave the code of a loaded library to the disk; what is needed once more is read again.

    Code alone: to other parts, read-only ones too, the loader has written addresses that are in
    no file. Nothing is done where the system does not say what is loaded (not Linux, or hidden).

    name: as it stands in the name of the library's file.
    """
    try:
        lines = MAPS.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        addresses, rights, *_, path = line.split(maxsplit=5)
        if name in Path(path).name and rights == "r-xp":
            start, end = (int(address, 16) for address in addresses.split("-"))
            size = ctypes.c_size_t(end - start)
            ctypes.CDLL(None).madvise(ctypes.c_void_p(start), size, mmap.MADV_DONTNEED)


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
