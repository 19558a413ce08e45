import re
from html.parser import HTMLParser

from atrous.reports.html_page import Picture, Section, Table, Tile, html_page, shown

NASTY = '<script>alert("1")</script> & \'"'


class Reader(HTMLParser):
    """Collects tags, attributes and text; notices tags that are not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return reader


def test_every_text_is_escaped() -> None:
    section = Section(
        NASTY,
        note=NASTY,
        tiles=[Tile(NASTY, NASTY, NASTY)],
        table=Table((NASTY, NASTY), [(NASTY, NASTY)]),
        charts=[Picture(b"\x89PNG", NASTY, 20)],
        photos=[Picture(b"\xff\xd8", NASTY)],
    )
    reader = read(html_page(NASTY, NASTY, [section]))
    assert "script" not in reader.tags
    assert reader.text.count(NASTY) == 14
    assert [value for name, value in reader.attributes if name == "alt"] == [NASTY, NASTY]


def test_nothing_is_fetched() -> None:
    pictures = [Picture(b"\x89PNG", "chart"), Picture(b"\xff\xd8", "photo")]
    page = html_page("Title", "subtitle", [Section("Charts", charts=pictures)])
    reader = read(page)
    sources = [value or "" for name, value in reader.attributes if name in ("src", "href")]
    assert [source.partition(";")[0] for source in sources] == ["data:image/png", "data:image/jpeg"]
    assert not {"link", "script", "iframe", "a"} & set(reader.tags)
    assert not re.search(r"https?://|url\(|@import", page)


def test_values_for_people() -> None:
    assert shown(0.5) == "0.5000"
    assert shown(3360.0) == "3360"
    assert shown(True) == "yes"
    assert shown({"height": 3, "width": None}) == "height 3, width -"
    assert shown("text") == "text"
