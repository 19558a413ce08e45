"""Compiled networks on disk: a second start maps what the first one made into memory."""

import hashlib
import importlib.metadata
import mmap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from isal import isal_zlib
from jaxtyping import UInt8

from atrous.disk.whole import write_whole
from atrous.domain.geometry import Size
from atrous.runtime.processor import available_cores, processor_name

# Each compilation keeps all cores busy and takes some times the memory of the network.
ONE_COMPILATION = threading.Lock()
ENGINE_DISTRIBUTIONS = ("openvino", "onnxruntime", "onnxruntime-gpu")
CHECKSUM_BYTES = 4  # CRC-32, at the end of each file
READ_BYTES = 16 << 20  # of a file at a time
FORGET_S = 0.005  # in which an engine reads some 10 MB


@dataclass(frozen=True)
class Environment:
    """What a compiled network, and how fast it is, depend on besides its weights."""

    processor: str
    cores: int
    versions: dict[str, str]  # of the engines that are installed
    gpus: int = 0  # of NVIDIA's that this process may see; on Linux

    @classmethod
    def here(cls) -> "Environment":
        """This machine and its engines."""
        versions = {}
        for name in ENGINE_DISTRIBUTIONS:
            try:
                versions[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                continue
        gpus = len(list(Path("/dev").glob("nvidia[0-9]*")))
        return cls(processor_name(), available_cores(), versions, gpus)

    @property
    def digest(self) -> str:
        """A short name of it for file names."""
        return hashlib.sha256(repr(sorted(asdict(self).items())).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Slot:
    """Where the compiled network of some weights lies, in one precision and input size."""

    folder: Path
    checksum: str  # SHA-256 of the ONNX file
    precision: str
    input_size: Size | None
    whole: bool = True  # False: without a last step that only enlarges

    @property
    def path(self) -> Path:
        """The file, whether it is there or not."""
        return self.folder / f"{self._stem}-{Environment.here().digest}.compiled"

    @property
    def _stem(self) -> str:
        size = self.input_size or "any"
        kind = "whole" if self.whole else "coarse"
        return f"{self.checksum[:24]}-{size}-{self.precision}-{kind}"

    def keep(self, compiled: bytes) -> None:
        """Write the file, and remove those that other versions or machines left in its place.

        OSError where the folder can't be written.
        """
        path = self.path
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, compiled + isal_zlib.crc32(compiled).to_bytes(CHECKSUM_BYTES, "big"))
        for older in self.folder.glob(f"{self._stem}-*.compiled"):
            if older != path:
                older.unlink(missing_ok=True)


def remove_compiled(folder: Path, checksum: str, *, but: str) -> None:
    """Remove the compiled networks of some weights, except those in the precision `but`."""
    for path in folder.glob(f"{checksum[:24]}-*.compiled"):
        if f"-{but}-" not in path.name:
            path.unlink(missing_ok=True)


class MappedFile:
    """What `Slot.keep` wrote, without a copy in memory; `data` must outlive what is made of it.

    Engines keep weights in an order of their own, and need the file's copy only while they make
    that: so its pages are left to the disk again and again, to be read anew where they are needed.
    """

    def __init__(self, path: Path) -> None:
        """Map the file. It is replaced whole, never written to, while somebody maps it.

        ValueError where it is not what was written.
        """
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        whole: UInt8[np.ndarray, " bytes"] = np.frombuffer(self._map, np.uint8)
        self.data, checksum = whole[:-CHECKSUM_BYTES], whole[-CHECKSUM_BYTES:]
        if self._checksum() != int.from_bytes(checksum.tobytes(), "big"):
            raise ValueError("its checksum is another one")

    def _checksum(self) -> int:
        checksum = 0
        for start in range(0, self.data.size, READ_BYTES):
            checksum = isal_zlib.crc32(self.data[start : start + READ_BYTES], checksum)
            self.forget_pages()
        return checksum

    def forget_pages(self) -> None:
        """Leave the file's pages to the disk."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)

    @contextmanager
    def forgetting(self) -> Iterator[None]:
        """Leave the file's pages to the disk all the while, and at the end."""
        ended = threading.Event()

        def forget() -> None:
            while not ended.wait(FORGET_S):
                self.forget_pages()

        thread = threading.Thread(target=forget, name="forget", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self.forget_pages()
