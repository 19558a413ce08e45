"""Model packages: each file a blob and a row; on each machine a folder made of them."""

import errno
import os
import shutil
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, delete, insert, select

from atrous.disk.whole import flush
from atrous.domain.errors import BadPackage, DamagedBlob, NotFound
from atrous.store.blobs import Blobs
from atrous.store.database import Database, model_files, models, new_id
from atrous.store.home import Home

UNFINISHED = ".unfinished-"  # start of a folder's name while it is being filled
IS_THERE = (errno.EEXIST, errno.ENOTEMPTY)


@dataclass(frozen=True)
class PackageFile:
    """One file of a package; its content is the blob."""

    name: str
    digest: str
    size_bytes: int


class PackageFiles:
    """Brings packages into the blobs, and gives folders to read them from.

    Where blobs lie in a folder on the same disk, a package's files are second names of them, so
    that it takes its room once. Nobody may change them.
    """

    def __init__(self, database: Database, packages: Path, blobs: Blobs) -> None:
        """Work on an open, migrated database and the existing folder of packages."""
        self._database, self._packages, self._blobs = database, packages, blobs

    def bring_in(self, package: Path, folder: str) -> list[PackageFile]:
        """Copy a package into the blobs and under a new folder's name.

        The caller writes the rows, which make it known; BadPackage where it holds anything but
        plain files.
        """
        unfinished = self._packages / (UNFINISHED + folder)
        try:
            copy_plain_files(package, unfinished)
            files = self._shared(unfinished)
            if not files:
                raise BadPackage(f"{package} is empty; give the folder of a model package")
            unfinished.rename(self._packages / folder)
            flush(self._packages)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        return files

    def _shared(self, folder: Path) -> list[PackageFile]:
        files = []
        for path in sorted(folder.iterdir()):
            blob = self._blobs.share(path)
            files.append(PackageFile(path.name, blob.digest, blob.size_bytes))
        flush(folder)
        return files

    def folder(self, name: str) -> Path:
        """Give the folder of a package, made of its blobs where this machine has none.

        Raises BadPackage where a blob is lost or damaged, and where it was published before
        packages were blobs and lies on another machine.
        """
        folder = self._packages / name
        if not folder.is_dir():
            self._fill(folder)
        return folder

    def _fill(self, folder: Path) -> None:
        files = self.files(folder.name)
        if not files:
            raise BadPackage(
                "the files of this model are neither here nor in the blobs; run `atrous clean` on "
                "the machine that published it, which takes them over"
            )
        unfinished = self._packages / (UNFINISHED + new_id())
        unfinished.mkdir(mode=0o700)
        try:
            for file in files:
                self._blobs.give(file.digest, unfinished / file.name)
            flush(unfinished)
            unfinished.rename(folder)
            flush(self._packages)
        except (DamagedBlob, NotFound) as error:
            raise BadPackage(f"the model can't be fetched: {error}") from error
        except OSError as error:
            if error.errno not in IS_THERE:  # else another one was faster
                raise
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    def files(self, folder: str) -> list[PackageFile]:
        """Give the files of a package by name; none where it was published before r0006."""
        query = select(model_files).where(model_files.c.folder == folder)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(model_files.c.name)).all()
        return [PackageFile(row.name, row.digest, row.size_bytes) for row in rows]

    def take_over(self) -> int:
        """Bring packages of this machine into the blobs that were published before they were.

        Gives how many. Each is served all the while; a crash leaves it as it was.
        """
        query = select(models.c.folder).where(
            models.c.removed_at.is_(None), ~models.c.folder.in_(select(model_files.c.folder))
        )
        with self._database.read() as connection:
            folders = list(connection.execute(query.order_by(models.c.created_at)).scalars())
        return sum(self._take_over(name) for name in folders if (self._packages / name).is_dir())

    def _take_over(self, name: str) -> bool:
        try:
            files = self._shared(self._packages / name)
        except FileNotFoundError:  # removed meanwhile
            return False
        is_left = (models.c.folder == name) & models.c.removed_at.is_(None)
        with self._database.write() as connection:
            if connection.execute(select(models.c.id).where(is_left).with_for_update()).first():
                known = select(model_files.c.name).where(model_files.c.folder == name)
                if not connection.execute(known).first():
                    insert_files(connection, name, files)
                    return True
        return False  # removed meanwhile, or another process was faster


def insert_files(connection: Connection, folder: str, files: Iterable[PackageFile]) -> None:
    """Write the rows of a package whose model's row is there."""
    connection.execute(insert(model_files), [{"folder": folder, **vars(file)} for file in files])


def delete_files(connection: Connection, folders: Iterable[str]) -> None:
    """Delete the rows of packages; their blobs go with the next `Leftovers.remove`."""
    connection.execute(delete(model_files).where(model_files.c.folder.in_(list(folders))))


def delete_local_files(home: Home, folder: str) -> None:
    """Delete what this machine made of a package: its folder, and the zip of its weights."""
    shutil.rmtree(home.packages / folder, ignore_errors=True)
    (home.weights_zips / f"{folder}.zip").unlink(missing_ok=True)


def copy_plain_files(source: Path, target: Path) -> None:
    """Copy the files of a folder into a new folder and wait until they are on the disk.

    A link, device or sub-folder raises BadPackage: packages are flat, and a link could carry any
    file of this machine into what a server hands out.
    """
    if not source.is_dir():
        raise BadPackage(f"{source} is not a folder; give the folder of a model package")
    target.mkdir(mode=0o700)
    for entry in sorted(source.iterdir()):
        if not entry.name.isprintable():
            raise BadPackage(f"{entry.name!r} is no name of a package's file; rename it")
        if entry.is_symlink() or not stat.S_ISREG(entry.lstat().st_mode):
            raise BadPackage(f"{entry} is not a plain file; a package holds plain files only")
        # No link is followed that was put there since, so what was checked is what is read.
        descriptor = os.open(entry, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        with os.fdopen(descriptor, "rb") as reader, (target / entry.name).open("xb") as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)
            writer.flush()
            os.fsync(writer.fileno())
    flush(target)
