"""What a crash or a deletion leaves behind: blobs that no row names, unfinished files."""

import contextlib
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import String, and_, cast, not_, or_, select

from atrous.domain.errors import Conflict
from atrous.store.blobs import OWNER_FILE, YOUNG_S, Blobs
from atrous.store.database import Database, jobs, models
from atrous.store.dataset_tables import projects, versions
from atrous.store.doomed_blobs import DoomedBlobs
from atrous.store.evaluations import EVALUATE
from atrous.store.home import Home
from atrous.store.search_exports import is_forgotten
from atrous.store.secrets import Secrets
from atrous.store.trainings import ADD_MODEL
from atrous.store.zip_imports import OVER, is_over

GRACE_S = 86_400.0  # whatever is younger may belong to something that is not finished yet
MIN_GRACE_S = 2 * YOUNG_S
MARKED_AT_ONCE = 500  # blobs, before they are looked at once more and deleted
DIGEST_COLUMN = re.compile(r"(.*_)?digest")
OWNER_NAME = "owner of blobs"  # of the random number that names this database
NO_BLOBS = ("api_keys", "doomed_blobs")  # digests of keys, and of what is to go
ANY_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
# Below the data folder; all of these names are made by code that removes them when it ends.
UNFINISHED = (
    "blobs/*/*/.*.tmp",
    "packages/.unfinished-*",
    "runs/*/*/.export-*",
    "runs/*/*/.*.tmp",
    "runs/*/*/checkpoints/.*.tmp",
    "runs/*/*/.package-*",
    "cache/versions/.*",
    "cache/weights/.*",
    "cache/export-*",
    "cache/import-*",
    "cache/body-*",
    "cache/sam2_embeddings/names/.*",
    "demo/.*",
    "sam2/.*",
)


@dataclass(frozen=True)
class Removed:
    """What was deleted, or would be."""

    blobs: int
    size_bytes: int  # of the blobs
    files: tuple[Path, ...]  # and folders: unfinished ones, and those made of what is gone


class Leftovers:
    """Finds and deletes leftovers, beside everybody else's work."""

    def __init__(self, home: Home, database: Database, blobs: Blobs) -> None:
        """Work on an open, migrated database."""
        self._home, self._database, self._blobs = home, database, blobs
        self._doomed, self._secrets = DoomedBlobs(database), Secrets(database)

    def remove(self, *, grace_s: float = GRACE_S, only_look: bool = False) -> Removed:
        """Delete what is older than the grace period.

        Less than MIN_GRACE_S is only safe while no server, worker or command runs: an upload
        that found its blob there may not have written its row yet. Raises Conflict where the
        blobs are another database's.
        """
        self._refuse_foreign(only_look=only_look)
        files = tuple(self._old((*self._unfinished(), *self._outlived()), grace_s))
        if not only_look:
            for path in files:  # first: it needs no room in a database whose disk is full
                _delete(path)
        old = {
            digest: size for digest, size, age_s in self._blobs.stored() if age_s >= grace_s
        }  # before the rows are read: a blob that is named later was put again, and is young
        named = self.named_blobs() | self._digests_in_jobs() if old else set()
        unneeded = sorted(old.keys() - named)
        gone = unneeded if only_look else self._removed(unneeded, grace_s)
        return Removed(len(gone), sum(old[digest] for digest in gone), files)

    def _refuse_foreign(self, *, only_look: bool) -> None:
        """Stop where a wrong URL makes all blobs look as if no row named them."""
        own, owner = self._secrets.get(OWNER_NAME).hex(), self._blobs.owner()
        if owner is None and not only_look:
            self._blobs.note_owner(own)
        if owner not in (None, own):
            raise Conflict(
                "the stored files belong to another database, so that none is deleted; check "
                "ATROUS_DATABASE_URL and ATROUS_BLOBS_URL, or delete the file "
                f"{OWNER_FILE} beside them if they are to belong to this one"
            )

    def _removed(self, digests: list[str], grace_s: float) -> list[str]:
        """Delete those that are still old; give which."""
        self._doomed.forget()
        gone = []
        for begin in range(0, len(digests), MARKED_AT_ONCE):
            marked = digests[begin : begin + MARKED_AT_ONCE]
            self._doomed.mark(marked)
            gone += [each for each in marked if self._blobs.remove(each, older_than_s=grace_s)]
        return gone

    def named_blobs(self) -> set[str]:
        """Give the digests of all blobs that a row names."""
        named: set[str] = set()
        with self._database.read() as connection:
            for table in projects.metadata.tables.values():
                if table.name in NO_BLOBS:
                    continue
                for column in table.columns:
                    if DIGEST_COLUMN.fullmatch(column.name):
                        found = connection.execute(select(column).where(column.is_not(None)))
                        named.update(found.scalars())
        return named

    def _digests_in_jobs(self) -> set[str]:
        """All that looks like a digest inside the JSON of jobs, where some keep blobs, too.

        Zips of imports and models that are over, and old exports of searches, are needed no more;
        evaluations, whose results are long, keep none.
        """
        added = and_(jobs.c.kind == ADD_MODEL, jobs.c.state.in_(OVER))
        measured = jobs.c.kind == EVALUATE
        unneeded = or_(is_over(), added, is_forgotten(time.time()), measured)
        named: set[str] = set()
        with self._database.read() as connection:
            texts = [cast(jobs.c[name], String) for name in ("payload", "progress", "result")]
            for row in connection.execute(select(*texts).where(not_(unneeded))):
                for text in row:
                    named.update(ANY_DIGEST.findall(text or ""))
        return named

    def _unfinished(self) -> Iterator[Path]:
        for pattern in UNFINISHED:
            yield from sorted(self._home.folder.glob(pattern))

    def _outlived(self) -> Iterator[Path]:
        """What this machine made of packages and versions that are gone, wherever they went."""
        with self._database.read() as connection:
            served = select(models.c.folder).where(models.c.removed_at.is_(None))
            packages = set(connection.execute(served).scalars())
            kept = select(versions.c.id).where(versions.c.emptied_at.is_(None))
            version_ids = set(connection.execute(kept).scalars())
        for pattern, known in (
            ("packages/[!.]*", packages),
            ("cache/weights/[!.]*.zip", packages),
            ("cache/versions/[!.]*", version_ids),
        ):
            for path in sorted(self._home.folder.glob(pattern)):
                if path.stem not in known:
                    yield path

    def _old(self, paths: Iterable[Path], grace_s: float) -> Iterator[Path]:
        for path in paths:
            with contextlib.suppress(FileNotFoundError):  # whoever wrote it has ended
                if time.time() - _newest_change(path) >= grace_s:
                    yield path


def _newest_change(path: Path) -> float:
    return max(entry.lstat().st_mtime for entry in (path, *path.rglob("*")))


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
