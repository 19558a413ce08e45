"""Zips of strangers: checked by their table of contents before any file of them is read."""

import io
import re
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from types import TracebackType

from atrous.domain.errors import BadDataset

MAX_FILES = 200_000
DIRECTORY_BYTES = 400  # of the table of contents, on average for a file
MAX_FILE_BYTES = 512 * 1024 * 1024  # of one file, unpacked: it is held in memory
MAX_TOTAL_BYTES = 64 * 1024**3  # of all files, unpacked
MAX_RATIO = 200  # unpacked to packed; masks and texts of real data sets stay below 100
FREE_BYTES = 4 * 1024 * 1024  # of a file that may be packed in any ratio
MAX_NAME = 1000
UNFIT = re.compile(r"[\x00-\x1f\x7f\\]")  # control characters and backslashes
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
IS_ENCRYPTED = 0x1
DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    NotImplementedError,
    UnicodeDecodeError,  # a name
)


class _ZipReader(io.BufferedReader):
    """A file that gives no table of contents too long to be held.

    zipfile reads the table at once, as long as the file says it is, and makes objects of all its
    entries; how many the file says there are is not looked at. So its length is what counts, taken
    where it is used: a file may state several.
    """

    has_directory = False  # once the table was read

    def read(self, size: int | None = -1, /) -> bytes:
        """Read; BadDataset for a table of contents that is too long."""
        most = DIRECTORY_BYTES * MAX_FILES
        if not self.has_directory and size is not None and size > most:
            raise BadDataset(
                f"the zip's table of contents has {size} bytes; expected at most {most}: "
                f"send at most {MAX_FILES} files at once"
            )
        return super().read(size)


class CheckedZip:
    """An open zip whose names, sizes, counts and ratios are sound. Threads may share it."""

    def __init__(self, path: Path) -> None:
        """Open a zip; BadDataset says which entry is not sound, before anything is unpacked."""
        self._file = _ZipReader(path.open("rb", buffering=0))
        try:
            self._archive = zipfile.ZipFile(self._file)
            self._file.has_directory = True
            self._entries = _checked(self._archive.infolist(), path.stat().st_size)
        except (zipfile.BadZipFile, EOFError, NotImplementedError, UnicodeDecodeError) as error:
            self._file.close()
            raise BadDataset(f"the file is no zip, or cut off ({error}); zip it anew") from error
        except BadDataset:
            self._file.close()
            raise

    @property
    def names(self) -> tuple[str, ...]:
        """Paths of its files, without folders."""
        return tuple(self._entries)

    def read(self, name: str) -> bytes:
        """A whole file; BadDataset where it is damaged, compared with its checksum."""
        try:
            return self._archive.read(self._entries[name])
        except DAMAGED as error:
            raise BadDataset(f"it is damaged in the zip ({str(error)[:100]})") from error

    def __enter__(self) -> "CheckedZip":
        """Give the zip itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the file."""
        self._archive.close()
        self._file.close()


def _checked(listed: list[zipfile.ZipInfo], zip_bytes: int) -> dict[str, zipfile.ZipInfo]:
    if len(listed) > MAX_FILES:
        raise BadDataset(f"the zip has {len(listed)} files; send at most {MAX_FILES} at once")
    entries: dict[str, zipfile.ZipInfo] = {}
    for entry in listed:
        _check_name(entry)
        if entry.is_dir():
            continue
        _check_content(entry)
        if not 0 <= entry.header_offset < zip_bytes:
            raise BadDataset(f"{entry.filename[:100]!r} lies outside of the zip; zip it anew")
        if entry.filename in entries:
            raise BadDataset(f"the zip has {entry.filename[:100]!r} twice; zip it anew")
        entries[entry.filename] = entry
    packed = sum(entry.compress_size for entry in entries.values())
    if packed > zip_bytes:  # one stretch of bytes that several entries point at
        raise BadDataset(f"the zip's files sum up to {packed} bytes, it has {zip_bytes}")
    unpacked = sum(entry.file_size for entry in entries.values())
    if unpacked > MAX_TOTAL_BYTES:
        raise BadDataset(f"the zip unpacks to {unpacked} bytes; send at most {MAX_TOTAL_BYTES}")
    return entries


def _check_name(entry: zipfile.ZipInfo) -> None:
    name, path = entry.filename, PurePosixPath(entry.filename)
    leads_out = path.is_absolute() or ".." in path.parts or name[1:2] == ":"
    if leads_out or not path.parts or len(name) > MAX_NAME or UNFIT.search(name):
        raise BadDataset(
            f"the zip has a file {name[:100]!r}; names may not lead out of the zip, nor hold "
            f"backslashes or control characters, nor be longer than {MAX_NAME}"
        )


def _check_content(entry: zipfile.ZipInfo) -> None:
    name = entry.filename[:100]
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise BadDataset(f"{name!r} in the zip is a link or a device; zip the files themselves")
    if entry.flag_bits & IS_ENCRYPTED:
        raise BadDataset(f"{name!r} in the zip is encrypted; zip it without a password")
    if entry.compress_type not in METHODS:
        raise BadDataset(f"{name!r} in the zip is packed by another method than deflate")
    if entry.file_size > MAX_FILE_BYTES:
        raise BadDataset(
            f"{name!r} in the zip unpacks to {entry.file_size} bytes; "
            f"a file may have at most {MAX_FILE_BYTES}"
        )
    if entry.file_size > max(FREE_BYTES, MAX_RATIO * entry.compress_size):
        raise BadDataset(
            f"{name!r} in the zip unpacks to more than {MAX_RATIO} times its size, as bombs do; "
            "save it in a packed format, as PNG"
        )
