"""Files named by their content: photos, labels, exports, packages; in a folder or in S3."""

import contextlib
import errno
import hashlib
import io
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import fsspec  # type: ignore[import-untyped]
from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]

from atrous.disk.whole import flush, write_whole
from atrous.domain.errors import BadInput, DamagedBlob, MissingDependency, NotFound
from atrous.store.database import new_id
from atrous.store.disk_full import naming_full_disk
from atrous.store.doomed_blobs import DoomedBlobs
from atrous.store.outages import naming_s3_outages

CHUNK_BYTES = 1 << 20
DIGEST = re.compile(r"[0-9a-f]{64}")
FOLDER = re.compile(r"[0-9a-f]{2}")
OWNER_FILE = "database"  # beside the blobs: names the database that may delete them
# A blob that is put again is written anew if it is older: so what nothing names is only deleted
# a long time after anybody put it for the last time.
YOUNG_S = 3600.0
# Another disk, or one that gives a file no second name.
NO_LINKS = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
# Where there are no marks: nothing is deleted while something is put, and all may be deleted.
NOT_DOOMED, DOOMED = contextlib.nullcontext(False), contextlib.nullcontext(True)


@dataclass(frozen=True)
class Blob:
    """What is known of stored bytes: their name is the SHA-256 of their content."""

    digest: str
    size_bytes: int


@runtime_checkable
class Readable(Protocol):
    """An open file, of this machine or of S3."""

    def read(self, size: int = -1, /) -> bytes:
        """Give up to so many bytes, none at the end."""
        ...


class Blobs:
    """Stores and gives bytes. What `put` has returned is whole, and outlives a crash.

    Blobs are never changed, so that copies of one content are stored once, and are never taken
    for one another: who reads one to its end has had its content compared with its name.
    All methods raise Unavailable where S3 does not answer.
    """

    def __init__(self, url: str, doomed: DoomedBlobs | None = None) -> None:
        """Work in a folder, given by path, or below an fsspec URL as `s3://bucket/folder`.

        doomed: the marks of blobs that are being deleted; without them nothing may be deleted
            while something is put.
        """
        try:
            self._files, self._root = fsspec.url_to_fs(url)
        except ImportError as error:  # fsspec's text names the package
            remedy = "pip install 'atrous[s3]'" if url.startswith("s3") else "install that"
            raise MissingDependency(
                f"blobs at {url.partition('://')[0]}:// (ATROUS_BLOBS_URL) need a package that is "
                f"not there ({error}): {remedy}"
            ) from None
        except (ValueError, OSError) as error:
            raise BadInput(
                f"blobs can't be kept at {url[:200]!r}, as ATROUS_BLOBS_URL says ({error}); give a "
                "folder or s3://bucket/name"
            ) from None
        self._local = isinstance(self._files, LocalFileSystem)
        self._doomed = doomed

    def put(self, data: bytes) -> Blob:
        """Store bytes; those that are there already are compared, and replaced where damaged."""
        blob = Blob(hashlib.sha256(data).hexdigest(), len(data))
        path = self._path(blob.digest)

        def write() -> None:
            if self._local:
                _write_whole(Path(path), blob, io.BytesIO(data))
            else:
                self._files.pipe_file(path, data)  # an object appears when all of it has arrived

        return self._put(blob, write)

    def put_file(self, file: Path) -> Blob:
        """Store a file of any size without holding it in memory."""
        with file.open("rb") as reader:
            blob = Blob(*_digest_of(reader))
            path = self._path(blob.digest)

            def write() -> None:
                if self._local:
                    reader.seek(0)
                    _write_whole(Path(path), blob, reader)
                else:
                    self._files.put_file(str(file), path)

            return self._put(blob, write)

    @naming_s3_outages()
    def _put(self, blob: Blob, write: Callable[[], None]) -> Blob:
        """Write what is absent, damaged, or so old that somebody may be about to delete it."""
        if not (self._is_sound(blob) and self._is_young(self._path(blob.digest))):
            self._write(blob, write)
        with self._doomed.saving(blob.digest) if self._doomed else NOT_DOOMED as is_doomed:
            if is_doomed:
                self._write(blob, write)
        return blob

    def _write(self, blob: Blob, write: Callable[[], None]) -> None:
        write()
        if not self._local:  # a folder's files are compared before they get their names
            self._refuse_damaged(blob)

    def share(self, file: Path) -> Blob:
        """Store a file that nobody will change: on one disk both become one file of two names."""
        blob = self.put_file(file)
        if self._local:
            _link(Path(self._path(blob.digest)), file)
        return blob

    def give(self, digest: str, target: Path) -> None:
        """Make a file of a blob: its second name where they lie on one disk, else a copy.

        Raises NotFound where there is none, DamagedBlob where it has changed; `target` may then be
        there in part.
        """
        if self._local and _link(Path(self._path(digest)), target):
            for _ in self.stream(digest):  # to its end, where it is compared
                pass
            return
        with naming_full_disk(), target.open("wb") as file:
            for piece in self.stream(digest):
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())

    def read(self, digest: str) -> bytes:
        """Give a whole blob; NotFound where there is none, DamagedBlob where it has changed."""
        return b"".join(self.stream(digest))

    def stream(self, digest: str) -> Iterator[bytes]:
        """Give a blob piece by piece; of one that has changed, DamagedBlob comes before the end.

        The last piece is held back until all of them were compared with the digest, so that
        nobody takes a damaged blob for a whole one.
        """
        content, held = hashlib.sha256(), b""
        with self._opened(digest) as file:
            while chunk := file.read(CHUNK_BYTES):
                content.update(chunk)
                if held:
                    yield held
                held = chunk
        if content.hexdigest() != digest:
            raise DamagedBlob(f"blob {digest} has changed on its disk; restore it from a backup")
        if held:
            yield held

    def stream_part(self, digest: str, start: int, length: int) -> Iterator[bytes]:
        """Give `length` bytes from `start` on. A part can't be compared with the whole's digest."""
        with self._opened(digest) as file:
            file.seek(start)
            while length > 0 and (chunk := file.read(min(CHUNK_BYTES, length))):
                length -= len(chunk)
                yield chunk
        if length:
            raise DamagedBlob(f"blob {digest} is shorter than it was; restore it from a backup")

    @naming_s3_outages()
    def size_bytes(self, digest: str) -> int:
        """Give a blob's size, or raise NotFound."""
        try:
            return int(self._files.size(self._path(digest)))
        except FileNotFoundError:
            raise NotFound(f"there is no blob {digest}") from None

    def stored(self) -> Iterator[tuple[str, int, float]]:
        """Give digest, size in bytes and age in seconds of all blobs, one folder after another."""
        self._files.invalidate_cache()
        now = time.time()
        for folder in self._folders():
            with naming_s3_outages():
                found = self._files.find(folder, detail=True)
            for path, facts in found.items():
                name = path.rpartition("/")[2]
                if DIGEST.fullmatch(name):
                    yield name, int(facts["size"]), now - _changed_at(facts)

    @naming_s3_outages()
    def _folders(self) -> list[str]:
        """Those of the first two digits: so a list of one holds few of very many blobs."""
        try:
            found = self._files.ls(self._root, detail=False)
        except FileNotFoundError:
            return []
        return sorted(path for path in found if FOLDER.fullmatch(path.rpartition("/")[2]))

    @naming_s3_outages()
    def owner(self) -> str | None:
        """Give the database that was noted as the owner; None before `note_owner`."""
        try:
            return str(self._files.cat_file(f"{self._root}/{OWNER_FILE}").decode())
        except FileNotFoundError:
            return None

    @naming_s3_outages()
    def note_owner(self, database: str) -> None:
        """Note which database these blobs belong to: no other one may delete any."""
        path = f"{self._root}/{OWNER_FILE}"
        if self._local:
            _make_folders(Path(path).parent)
            write_whole(Path(path), database.encode())
        else:
            self._files.pipe_file(path, database.encode())

    @naming_s3_outages()
    def remove(self, digest: str, *, older_than_s: float) -> bool:
        """Delete a blob unless it was stored (also once more) within that time.

        Whoever asks must have marked it as doomed, must know that nothing names it, and give a
        time that is longer than YOUNG_S and than anybody takes from `put` to the row that names
        what was put.
        """
        path = self._path(digest)
        self._files.invalidate_cache()
        try:
            if time.time() - _changed_at(self._files.info(path)) < older_than_s:
                return False
            with self._doomed.deleting(digest) if self._doomed else DOOMED as is_doomed:
                if is_doomed:
                    self._files.rm_file(path)
                return is_doomed
        except FileNotFoundError:  # another process was faster
            return False

    def _is_young(self, path: str) -> bool:
        """Whether a blob is so new that nobody is about to delete it; see `remove`."""
        try:
            return time.time() - _changed_at(self._files.info(path)) < YOUNG_S
        except FileNotFoundError:
            return False

    def _is_sound(self, blob: Blob) -> bool:
        try:
            with self._files.open(self._path(blob.digest), "rb") as file:
                return _digest_of(file) == (blob.digest, blob.size_bytes)
        except FileNotFoundError:
            return False

    @contextlib.contextmanager
    def _opened(self, digest: str) -> Iterator[Any]:
        with naming_s3_outages():
            try:
                file = self._files.open(self._path(digest), "rb")
            except FileNotFoundError:
                raise NotFound(f"there is no blob {digest}") from None
            with file:
                yield file

    def _refuse_damaged(self, blob: Blob) -> None:
        self._files.invalidate_cache()
        if not self._is_sound(blob):
            raise DamagedBlob(f"blob {blob.digest} arrived damaged; send it again")

    def _path(self, digest: str) -> str:
        if not DIGEST.fullmatch(digest):
            raise NotFound(f"{digest[:100]!r} is no digest of a blob")
        return f"{self._root}/{digest[:2]}/{digest[2:4]}/{digest}"


def _write_whole(path: Path, blob: Blob, reader: Readable) -> None:
    """Write beside, flush, compare, rename, flush the folder: a crash leaves all or nothing."""
    with naming_full_disk():
        _make_folders(path.parent)
    temporary = path.with_name(f".{new_id()}.tmp")
    try:
        with naming_full_disk(), temporary.open("w+b") as file:
            shutil.copyfileobj(reader, file, CHUNK_BYTES)
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)
            if _digest_of(file) != (blob.digest, blob.size_bytes):
                raise DamagedBlob(f"blob {blob.digest} arrived damaged; send it again")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    flush(path.parent)


def _link(blob: Path, name: Path) -> bool:
    """Give a blob another name, in place of what has it now; False where the disk can't."""
    temporary = blob.with_name(f".{new_id()}.tmp")
    try:
        # A file that is replaced by the same content at this moment can't be linked: once more.
        while not _is_linked(blob, temporary):
            if not blob.exists():
                raise NotFound(f"there is no blob {blob.name}")
        temporary.replace(name)  # nothing, where both are that file already
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        return False
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _is_linked(blob: Path, name: Path) -> bool:
    try:
        os.link(blob, name)
    except FileNotFoundError:
        return False
    return True


def _changed_at(facts: Mapping[str, Any]) -> float:
    """When a file was written, as seconds since 1970."""
    changed = facts["mtime"] if "mtime" in facts else facts["LastModified"]
    return float(changed.timestamp() if isinstance(changed, datetime) else changed)


def _make_folders(folder: Path) -> None:
    """Make a folder and those above, each one's name flushed to the disk."""
    if folder.is_dir():
        return
    _make_folders(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    flush(folder.parent)


def _digest_of(file: Readable) -> tuple[str, int]:
    content, size_bytes = hashlib.sha256(), 0
    while chunk := file.read(CHUNK_BYTES):
        content.update(chunk)
        size_bytes += len(chunk)
    return content.hexdigest(), size_bytes
