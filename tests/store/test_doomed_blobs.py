import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import select

from atrous.store.blobs import Blobs
from atrous.store.database import Database, doomed_blobs
from atrous.store.doomed_blobs import KEPT_S, DoomedBlobs

ANY_AGE = -60.0  # seconds: everything is older
LIMIT_S = 120.0  # for a thread that hangs


def marks(database: Database) -> dict[str, float]:
    with database.read() as connection:
        return {row.digest: row.marked_at for row in connection.execute(select(doomed_blobs))}


def test_a_mark_is_there_until_the_blob_is_saved(database: Database) -> None:
    doomed = DoomedBlobs(database, clock=lambda: 5.0)
    doomed.mark(["b" * 64, "a" * 64])
    assert marks(database) == {"a" * 64: 5.0, "b" * 64: 5.0}
    with doomed.deleting("a" * 64) as is_marked:
        assert is_marked
    with doomed.saving("a" * 64) as is_marked:
        assert is_marked
    assert list(marks(database)) == ["b" * 64]
    with doomed.saving("a" * 64) as is_marked:
        assert not is_marked
    with doomed.deleting("a" * 64) as is_marked:
        assert not is_marked
    doomed.mark([])


def test_a_mark_stays_where_saving_fails(database: Database) -> None:
    doomed = DoomedBlobs(database)
    doomed.mark(["a" * 64])

    def fail() -> None:
        with doomed.saving("a" * 64):
            raise OSError("the bucket does not answer")

    with pytest.raises(OSError, match="bucket"):
        fail()
    assert list(marks(database)) == ["a" * 64]


def test_marks_are_forgotten_when_they_are_old(database: Database) -> None:
    now = [1000.0]
    doomed = DoomedBlobs(database, clock=lambda: now[0])
    doomed.mark(["a" * 64, "b" * 64])
    now[0] += KEPT_S + 1
    doomed.mark(["b" * 64])  # once more, which makes it new
    doomed.forget()
    assert marks(database) == {"b" * 64: now[0]}


class PausedBeforeSaving(DoomedBlobs):
    """Stops whoever puts between the writing and the look at marks."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.has_written, self.go_on = threading.Event(), threading.Event()

    @contextmanager
    def saving(self, digest: str) -> Iterator[bool]:
        self.has_written.set()
        assert self.go_on.wait(LIMIT_S)
        with super().saving(digest) as is_marked:
            yield is_marked


class PuttingBeforeDeletion(DoomedBlobs):
    """Lets somebody put the blob after the look that saw it old, right before it is deleted."""

    def __init__(self, database: Database, putting: threading.Thread, put: threading.Event) -> None:
        super().__init__(database)
        self._putting, self._put = putting, put

    @contextmanager
    def deleting(self, digest: str) -> Iterator[bool]:
        with super().deleting(digest) as is_marked:
            self._putting.start()
            assert self._put.wait(LIMIT_S)
            yield is_marked


def test_what_is_put_between_look_and_deletion_is_there(database: Database, blobs_url: str) -> None:
    paused = PausedBeforeSaving(database)
    again = threading.Thread(target=Blobs(blobs_url, paused).put, args=(b"photo",))
    cleaner = Blobs(blobs_url, PuttingBeforeDeletion(database, again, paused.has_written))
    digest = Blobs(blobs_url).put(b"photo").digest
    DoomedBlobs(database).mark([digest])
    assert cleaner.remove(digest, older_than_s=ANY_AGE)
    assert list(cleaner.stored()) == []  # what was put is gone, and not acknowledged yet
    paused.go_on.set()
    again.join()
    assert Blobs(blobs_url).read(digest) == b"photo"
    assert marks(database) == {}


def test_what_is_put_between_mark_and_deletion_is_spared(
    database: Database, blobs_url: str
) -> None:
    doomed = DoomedBlobs(database)
    blobs = Blobs(blobs_url, doomed)
    digest = blobs.put(b"photo").digest
    doomed.mark([digest])
    assert not blobs.remove(digest, older_than_s=60.0)  # it is young
    blobs.put(b"photo")  # which takes the mark away
    assert not blobs.remove(digest, older_than_s=ANY_AGE)
    assert blobs.read(digest) == b"photo"


def test_two_who_put_a_doomed_blob_both_find_it(database: Database, blobs_url: str) -> None:
    """The second one waits for the first, who has the lock, and then relies on its writing."""
    first, second = PausedBeforeSaving(database), PausedBeforeSaving(database)
    digest = Blobs(blobs_url).put(b"photo").digest
    DoomedBlobs(database).mark([digest])
    putting = [
        threading.Thread(target=Blobs(blobs_url, doomed).put, args=(b"photo",))
        for doomed in (first, second)
    ]
    for thread in putting:
        thread.start()
    for doomed in (first, second):
        assert doomed.has_written.wait(LIMIT_S)
    assert Blobs(blobs_url, DoomedBlobs(database)).remove(digest, older_than_s=ANY_AGE)
    for doomed in (first, second):
        doomed.go_on.set()
    for thread in putting:
        thread.join()
    assert Blobs(blobs_url).read(digest) == b"photo"
    assert marks(database) == {}
