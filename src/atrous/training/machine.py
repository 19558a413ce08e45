"""What a training has to work with: cores, memory, and a GPU where there is one."""

import logging
from dataclasses import dataclass
from pathlib import Path

import torch

from atrous.runtime.processor import available_cores

logger = logging.getLogger(__name__)
MEMORY_FILE = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")
UNKNOWN_BYTES = 8 * 1024**3  # assumed where the system does not say


@dataclass(frozen=True)
class Machine:
    """The machine as far as a recipe depends on it."""

    cores: int
    memory_bytes: int  # that a training may still take: of the GPU where there is one
    gpu: str | None = None  # its name
    gpus: int = 1  # so many of them, alike; where there is none, of no meaning

    @classmethod
    def here(cls) -> "Machine":
        """This machine at present."""
        cores = available_cores()
        if not torch.cuda.is_available():
            return cls(cores, free_memory_bytes())
        free_bytes, _ = torch.cuda.mem_get_info(0)
        return cls(cores, free_bytes, torch.cuda.get_device_name(0), torch.cuda.device_count())

    def __str__(self) -> str:
        """As a table says it: `2 cores, 22.1 GB free`."""
        place = f"on {self.gpu}" if self.gpu else "free"
        return f"{self.cores} cores, {self.memory_bytes / 10**9:.1f} GB {place}"


def devices_here(wanted: int) -> int:
    """Processes to train with: as many as wanted, but no more than there are GPUs if any."""
    gpus = torch.cuda.device_count()
    if 0 < gpus < wanted:
        logger.warning("%d GPUs are wanted and there are %d: these train", wanted, gpus)
        return gpus
    return wanted


def free_memory_bytes(memory_file: Path = MEMORY_FILE, cgroup: Path = CGROUP) -> int:
    """Memory that programs may still take, within a container's limit; a guess off Linux."""
    free_bytes = UNKNOWN_BYTES
    if memory_file.is_file():
        for line in memory_file.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                free_bytes = int(line.split()[1]) * 1024
    limit, used = cgroup / "memory.max", cgroup / "memory.current"
    if limit.is_file() and used.is_file() and limit.read_text().strip() != "max":
        taken_bytes = int(used.read_text()) - _cached_files_bytes(cgroup / "memory.stat")
        free_bytes = min(free_bytes, max(0, int(limit.read_text()) - taken_bytes))
    return free_bytes


def _cached_files_bytes(statistics: Path) -> int:
    """What of a container's memory holds files that were read, and is given up when need be."""
    if not statistics.is_file():
        return 0
    numbers = dict(line.split() for line in statistics.read_text().splitlines())
    return int(numbers.get("inactive_file", 0)) + int(numbers.get("active_file", 0))
