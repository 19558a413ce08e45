"""Embeddings kept for later prompts: the last ones in memory, more of them on the disk."""

import hashlib
import io
import logging
import os
import tempfile
import threading
import time
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

import numpy as np

from atrous.domain.geometry import Size
from atrous.sam2.embedding import Embedding

logger = logging.getLogger(__name__)

SUFFIX = ".npz"
OLD_S = 3600
NOTE_S = 60  # between two notes on the disk that an embedding in memory is used
# What a file that is no whole embedding makes NumPy and zipfile raise.
DAMAGED = (
    *(ValueError, KeyError, EOFError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error),
)


class EmbeddingCache:
    """Embeddings by key, least recently used given up first, bounded in bytes. Safe for threads.

    Keys are any texts. The folder may be shared with other processes: each sees what the others
    put there, also after a restart, and a file that is damaged counts as absent.
    """

    def __init__(
        self, *, max_bytes: int, folder: Path | None = None, max_disk_bytes: int = 0
    ) -> None:
        """Keep `max_bytes` in memory, and `max_disk_bytes` in the folder, where there is one.

        What the folder has stays until something is put, or `make_room` is called.
        """
        self._max_bytes = max_bytes
        self._folder = folder
        self._max_disk_bytes = max_disk_bytes
        self._lock = threading.Lock()
        self._memory: OrderedDict[str, Embedding] = OrderedDict()  # least recently used first
        self._noted_s: dict[str, float] = {}  # of those in memory: when the disk was told last
        self._in_work: dict[str, Future[None]] = {}
        self.bytes_in_memory = 0
        self.bytes_on_disk = 0  # when this process looked last
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            _remove_unfinished(folder)
            self.bytes_on_disk = sum(size for _, size, _ in _files(folder))

    def in_memory(self, key: str) -> Embedding | None:
        """Give an embedding without a look at the disk."""
        with self._lock:
            found = self._memory.get(key)
            if found is not None:
                self._memory.move_to_end(key)
            return found

    def get(self, key: str) -> Embedding | None:
        """Give an embedding from memory, or from the disk."""
        found = self.in_memory(key)
        if found is None and self._folder is not None:
            found = self._read(self._path(self._folder, key))
            if found is not None:
                self._keep(key, found)
        return found

    def get_or_compute(self, key: str, compute: Callable[[], Embedding]) -> Embedding:
        """Give an embedding; computed once where many ask for it at the same time.

        A failed computation is raised to its caller alone; who waited for it computes then.
        """
        while True:
            found = self.get(key)
            if found is not None:
                return found
            with self._lock:
                other = self._in_work.get(key)
                if other is None:
                    mine = self._in_work[key] = Future()
                    break
            other.result()
        try:
            # It may have been finished between the look and the lock.
            computed = self.in_memory(key) or compute()
            self.put(key, computed)
            return computed
        finally:
            with self._lock:
                del self._in_work[key]
            mine.set_result(None)

    def put(self, key: str, embedding: Embedding) -> None:
        """Keep an embedding; a full disk is logged, and no failure."""
        self._keep(key, embedding)
        if self._folder is None or self.touch(key):
            return
        try:
            _write(self._path(self._folder, key), embedding)
            self.make_room()
        except OSError as error:
            logger.warning("an embedding could not be kept on the disk: %s", error.strerror)

    def note_use(self, key: str, embedding: Embedding) -> None:
        """Tell the disk of one that is used from memory, once a minute: else it would seem old.

        Another process may have removed it meanwhile; then it is written anew.
        """
        now = time.monotonic()
        with self._lock:
            is_due = now - self._noted_s.get(key, now) >= NOTE_S
        if is_due:
            self.put(key, embedding)

    def on_disk(self, key: str) -> bool:
        """Tell whether the folder has a file for this key that was not cut short."""
        return self._folder is not None and zipfile.is_zipfile(self._path(self._folder, key))

    def touch(self, key: str) -> bool:
        """Tell the same, and let the file count as used now: others are removed before it."""
        if self._folder is None or not self.on_disk(key):
            return False
        _touch(self._path(self._folder, key))
        return True

    def make_room(self) -> None:
        """Remove the files that were not used for the longest time, until the rest fits."""
        if self._folder is None:
            return
        files = _files(self._folder)
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self._max_disk_bytes:
                break
            path.unlink(missing_ok=True)
            total -= size
        self.bytes_on_disk = total

    def clear(self) -> None:
        """Forget what is in memory; the folder keeps what it has."""
        with self._lock:
            self._memory.clear()
            self._noted_s.clear()
            self.bytes_in_memory = 0

    def _keep(self, key: str, embedding: Embedding) -> None:
        with self._lock:
            old = self._memory.pop(key, None)
            if old is not None:
                self.bytes_in_memory -= old.size_bytes
            self._memory[key] = embedding
            self._noted_s[key] = time.monotonic()
            self.bytes_in_memory += embedding.size_bytes
            while self.bytes_in_memory > self._max_bytes and len(self._memory) > 1:
                left, gone = self._memory.popitem(last=False)
                del self._noted_s[left]
                self.bytes_in_memory -= gone.size_bytes

    def _path(self, folder: Path, key: str) -> Path:
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        return folder / f"{digest}{SUFFIX}"

    def _read(self, path: Path) -> Embedding | None:
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:  # of the system, and may pass: the file stays
            logger.warning("%s can't be read (%s); it is computed again", path.name, error)
            return None
        try:
            embedding = _parse(data)
        except DAMAGED as error:
            logger.warning("%s is damaged (%s); it is computed again", path.name, error)
            path.unlink(missing_ok=True)
            return None
        _touch(path)
        return embedding


def _files(folder: Path) -> list[tuple[int, int, Path]]:
    """The embeddings of a folder: when they were used last (ns), bytes, and where they are."""
    files = []
    for path in folder.glob(f"*{SUFFIX}"):
        try:
            facts = path.stat()
        except FileNotFoundError:  # another process removed it
            continue
        files.append((facts.st_mtime_ns, facts.st_size, path))
    return files


def _touch(path: Path) -> None:
    """Note that a file is used now, by its time."""
    with suppress(OSError):  # without that it is removed earlier than it might be
        os.utime(path)


def _remove_unfinished(folder: Path) -> None:
    """Remove what processes that were killed left behind; what others write just now is young."""
    for path in folder.glob("*.tmp"):
        try:
            if path.stat().st_mtime < time.time() - OLD_S:
                path.unlink()
        except FileNotFoundError:
            continue


def _write(path: Path, embedding: Embedding) -> None:
    """Write a file that is whole or absent; after a power cut its checksums tell."""
    first, second = embedding.high_res_features
    size = np.array([embedding.photo_size.height, embedding.photo_size.width], np.int64)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
        temporary = Path(file.name)
        try:
            np.savez(
                file,
                photo_size=size,
                image_embeddings=embedding.image_embeddings,
                high_res_features_0=first,
                high_res_features_1=second,
            )
        except BaseException:
            temporary.unlink()
            raise
    temporary.replace(path)


def _parse(data: bytes) -> Embedding:
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        height, width = arrays["photo_size"].tolist()
        parts = [
            arrays[name]
            for name in ("image_embeddings", "high_res_features_0", "high_res_features_1")
        ]
    if any(part.dtype not in (np.float16, np.float32) or part.shape[:1] != (1,) for part in parts):
        raise ValueError("not the arrays of an embedding")
    return Embedding(Size(height, width), parts[0], (parts[1], parts[2]))
