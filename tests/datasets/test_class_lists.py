from pathlib import Path

import numpy as np
import pytest

from atrous.datasets.class_lists import (
    as_csv_field,
    class_names_in,
    classes_and_lookup,
    read_class_list,
    says_ignored,
)
from atrous.domain.errors import BadDataset


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("sky\nroad\n \n\n", ("sky", "road")),
        ("\ufeffsky\r\nroad\r\n", ("sky", "road")),
        ("Pixel Value, Class\n0, background\n1, cat", ("background", "cat")),
        ("Pixel Value,Class\n1,cat\n\n0,background\n", ("background", "cat")),
        ("Pixel Value, Class\n1, cat\n2, dog, small", ("background", "cat", "dog, small")),
        ('Pixel Value, Class\n1, "cat"\n2, pipe 12"', ("background", "cat", 'pipe 12"')),
        ('Pixel Value, Class\n1, "dog, small"\n2, "', ("background", "dog, small", '"')),
        ('Pixel Value, Class\n1, "a" and "b"', ("background", '"a" and "b"')),
        ("Pixel Value, Class\r1, a\u2028b\r2, a\x85b", ("background", "a\u2028b", "a\x85b")),
        ("road\u2028surface\nsky", ("road\u2028surface", "sky")),
    ],
)
def test_lists_as_people_write_them(tmp_path: Path, text: str, names: tuple[str, ...]) -> None:
    path = tmp_path / "classes.txt"
    path.write_text(text, encoding="utf-8", newline="")
    assert read_class_list(path) == names


@pytest.mark.parametrize(
    "name", ['pipe 12"', '"', '""', '"a"', 'a ""b', "dog, small", "a\u2028b", "it's"]
)
def test_a_csv_field_is_read_as_it_was(name: str) -> None:
    text = f"Pixel Value, Class\n1, {as_csv_field(name)}\n"
    assert class_names_in(text, "_classes.csv") == ("background", name)


def test_fields_are_in_quotes_only_where_they_must() -> None:
    assert as_csv_field("dog, small") == "dog, small"
    assert as_csv_field(" old ") == '" old "'
    assert as_csv_field('pipe 12"') == '"pipe 12"""'
    assert class_names_in('Pixel Value, Class\n1, " old "', "a") == ("background", "old")


@pytest.mark.parametrize("row", ["255, __ignore__", '255,"__ignore__"'])
def test_a_list_says_what_is_ignored(tmp_path: Path, row: str) -> None:
    path = tmp_path / "_classes.csv"
    path.write_text(f"Pixel Value, Class\n1, cat\n{row}\n")
    assert says_ignored(path)
    assert read_class_list(path) == ("background", "cat")
    path.write_text("Pixel Value, Class\n1, cat\n")
    assert not says_ignored(path)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is empty"),
        ("sky\n\nroad\n", "has nothing in line 2; write the name of mask id 1 there"),
        ("\nsky\nroad\n", "has nothing in line 1"),
        ("Pixel Value, Class\n0, background\n2, cat", "without gaps"),
        ("Pixel Value, Class\n0, background\n0, cat", "each value once"),
        ("Pixel Value, Class\n0, background\none, cat", "'one, cat'"),
        ("Pixel Value, Class\n0, background\n1,", "class name"),
        ('Pixel Value, Class\n0, background\n1,""', "class name"),
        (f"Pixel Value, Class\n{'1' * 5000}, cat", "has the row '1111"),
    ],
)
def test_damaged_lists_are_refused(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "classes.txt"
    path.write_text(text)
    with pytest.raises(BadDataset, match=complaint):
        read_class_list(path)


def test_missing_and_binary_lists_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match="can't be read"):
        read_class_list(tmp_path / "nothing.txt")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(BadDataset, match="can't be read"):
        read_class_list(tmp_path / "binary")


def test_classes_move_behind_an_unused_background() -> None:
    classes, lookup = classes_and_lookup(("sky", "road"), ignore_id=11)
    assert classes.names == ("background", "sky", "road")
    assert classes.labelled_ids == (1, 2)
    raw = np.array([[0, 1, 2, 11, 255]], np.uint8)
    assert lookup.as_array()[raw].tolist() == [[1, 2, 255, 255, 255]]
    assert lookup.known == {0, 1, 11}


def test_a_background_of_any_case_stays_class_0() -> None:
    classes, lookup = classes_and_lookup(("Background", "cat"))
    assert classes.names == ("background", "cat")
    assert classes.labelled_ids == (0, 1)
    assert lookup.as_array()[:3].tolist() == [0, 1, 255]
    assert 255 not in lookup.known


def test_an_ignored_background_is_not_labelled() -> None:
    classes, lookup = classes_and_lookup(("background", "cat"), ignore_id=0)
    assert classes.labelled_ids == (1,)
    assert lookup.as_array()[:2].tolist() == [255, 1]


@pytest.mark.parametrize(("ignore_id", "complaint"), [(1, "'road'"), (0, "'sky'"), (256, "0..255")])
def test_an_ignored_id_must_be_a_value_without_class(ignore_id: int, complaint: str) -> None:
    with pytest.raises(BadDataset, match=complaint):
        classes_and_lookup(("sky", "road"), ignore_id)


def test_the_ignored_ids_are_those_of_the_option() -> None:
    assert classes_and_lookup(("background", "cat"))[1].ignored == set()
    assert classes_and_lookup(("background", "cat"), 11)[1].ignored == {11}
    assert classes_and_lookup(("background", "cat"), 0)[1].ignored == {0}
