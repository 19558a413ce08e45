import pytest

from atrous.datasets.yolo_names import labelmap_names, read_names, write_data_yaml
from atrous.domain.errors import BadDataset

EXPECTED = {0: "road", 1: "old tree", 2: "it's"}


@pytest.mark.parametrize(
    "text",
    [
        "nc: 3\nnames: [road, 'old tree', \"it's\"]\n",
        "names: ['road', old tree,\n   'it''s']  # three\nnc: 3",
        'names:\n- road\n- old tree\n- "it\'s"\nnc: 3\n',
        "path: x\nnames:\n  0: road  # grey\n  1: old tree\n\n  2: 'it''s'\ntrain: a",
        "names: {0: road, 1: 'old tree', 2: \"it's\"}",
        "# names: [x]\nnames: # of classes\n  - road\n  - old tree\n  - it's\n",
    ],
)
def test_names_in_every_way_of_writing(text: str) -> None:
    assert read_names(text, "data.yaml") == EXPECTED


@pytest.mark.parametrize("text", ["names:\n  {}: road", "names: {{{}: road}}"])
def test_a_number_of_thousands_of_digits(text: str) -> None:
    with pytest.raises(BadDataset, match=r"^data.yaml can't be read"):
        read_names(text.format("1" * 5000), "data.yaml")


def test_lines_that_are_too_long_to_be_names() -> None:
    inner = f"a{' ' * 9_000}b"
    assert read_names(f"names:\n- {inner} \t \n- c\n", "data.yaml") == {0: inner, 1: "c"}
    with pytest.raises(BadDataset, match="data.yaml has a line of 10001 characters"):
        read_names(f"names:\n- a{' ' * 9_997}b\n", "data.yaml")


def test_names_on_lines() -> None:
    assert read_names("a\u2028b\r\nc", "classes.txt") == {0: "a\u2028b", 1: "c"}
    assert read_names("names:\r\n- a\u2028b\r\n- c", "data.yaml") == {0: "a\u2028b", 1: "c"}
    assert read_names("road\n\nold tree \nit's", "classes.txt") == EXPECTED


@pytest.mark.parametrize(
    "text", ["", "nc: 3", "names:\n", "names: [a, b", "names: []", 'names: [""]', "names: 3"]
)
def test_names_that_are_not_there(text: str) -> None:
    with pytest.raises(BadDataset, match=r"data.yaml"):
        read_names(text, "data.yaml")


@pytest.mark.parametrize(
    "names", [("road", "tree, old"), ('a"b', "Straße", "#x: [", "道路", '"', "a\u2028b")]
)
def test_what_is_written_is_read(names: tuple[str, ...]) -> None:
    text = write_data_yaml(names, ("valid", "train"))
    assert read_names(text, "data.yaml") == dict(enumerate(names))
    assert "train: ../train/images\nval: ../valid/images\n" in text
    assert "test:" not in text


def test_spaces_around_a_name_are_no_part_of_it() -> None:
    assert labelmap_names({"0": " road "}, "a.txt") == {0: "road"}
    assert read_names('names: [" road", "tree "]', "data.yaml") == {0: "road", 1: "tree"}


def test_a_labelmap() -> None:
    assert labelmap_names({"0": "road", "2": "tree"}, "a.txt") == {0: "road", 2: "tree"}
    with pytest.raises(BadDataset, match="labelmap of a.txt"):
        labelmap_names({"road": "0"}, "a.txt")
