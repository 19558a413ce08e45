import pytest

from atrous.domain.errors import NotFound
from atrous.server import recent_reads
from atrous.server.recent_reads import FRESH_S, RecentReads


class Shelf:
    """Something to read from, and how often it was."""

    def __init__(self) -> None:
        self.now = 100.0
        self.reads: list[str] = []
        self.recent: RecentReads[str | None] = RecentReads(clock=lambda: self.now)

    def get(self, name: str, value: str | None = "book") -> str | None:
        def read() -> str | None:
            self.reads.append(name)
            return value

        return self.recent.get(name, read)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def test_one_read_serves_for_half_a_second(shelf) -> None:
    assert shelf.recent.recent("a") == ()
    assert shelf.get("a", "old") == "old"
    shelf.now += FRESH_S
    assert shelf.recent.recent("a") == ("old",)
    assert shelf.get("a", "new") == "old"
    shelf.now += 0.01
    assert shelf.recent.recent("a") == ()
    assert shelf.get("a", "new") == "new"
    assert shelf.reads == ["a", "a"]


def test_nothing_is_an_answer_too(shelf) -> None:
    assert shelf.get("a", None) is None
    assert shelf.get("a", "there") is None
    assert shelf.recent.recent("a") == (None,)


def test_a_failed_read_is_not_kept(shelf) -> None:
    def fail() -> str:
        raise NotFound("no such book")

    with pytest.raises(NotFound):
        shelf.recent.get("a", fail)
    assert shelf.get("a") == "book"


def test_time_counts_from_the_beginning_of_a_read(shelf) -> None:
    """What changed while it was read may be missing from it."""

    def read_slowly() -> str:
        shelf.now += FRESH_S + 0.1
        return "old"

    assert shelf.recent.get("a", read_slowly) == "old"
    assert shelf.get("a", "new") == "new"


def test_names_of_clients_fill_no_memory(shelf, monkeypatch) -> None:
    monkeypatch.setattr(recent_reads, "MOST", 3)
    for name in "abcd":
        shelf.get(name)
    assert [bool(shelf.recent.recent(name)) for name in "abcd"] == [False, True, True, True]
    shelf.now += 1
    shelf.get("e")
    assert len(shelf.recent._reads) == 1
