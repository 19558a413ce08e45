import pytest

from atrous.domain.classes import MAX_CLASSES, ClassTable, behind_background, lines_of
from atrous.domain.errors import BadInput


def test_labelled_background() -> None:
    table = ClassTable(("background", "cat", "dog"))
    assert len(table) == 3
    assert table.labelled_ids == (0, 1, 2)
    assert table.class_map == {"0": "background", "1": "cat", "2": "dog"}


def test_classes_behind_an_unused_background() -> None:
    table = behind_background(["sky", "road"])
    assert table.names == ("background", "sky", "road")
    assert table.labelled_ids == (1, 2)


def test_background_may_be_spelled_with_capitals() -> None:
    assert ClassTable(("Background", "cat")).names[0] == "Background"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "class 0"),
        (("cat", "background"), "'cat'.*put it first"),
        (("background",), "at least one"),
        (("background", "cat", " "), "empty"),
        (("background", "cat", "dog", "cat"), "twice: cat;"),
        (("background", *(f"c{i}" for i in range(MAX_CLASSES))), "256 classes.*at most 255"),
    ],
)
def test_tables_that_make_no_sense(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        ClassTable(names)


def test_as_many_classes_as_8_bits_hold() -> None:
    table = ClassTable(("background", *(f"c{i}" for i in range(MAX_CLASSES - 1))))
    assert table.labelled_ids[-1] == 254


def test_lines_end_where_files_end_them() -> None:
    assert lines_of(" sky\r\n\nroad\ra\u2028b\x85c \n") == ("sky", "road", "a\u2028b\x85c")
