import numpy as np
import pytest

from atrous.datasets.yolo import looks_like_yolo, read_yolo, write_label_map
from atrous.domain.errors import BadDataset
from atrous.domain.geometry import Size

NAMES = {0: "road", 1: "tree"}
SIZE = Size(10, 20)


def test_lines_are_areas_in_fractions() -> None:
    text = "1 0.1 0.2 0.5 0.2 0.5 0.6 0.1 0.6\n\n0 0.75 0.5 0.5 1.0\n"
    file = read_yolo(text, "a.txt", NAMES)
    label_map = file.label_map("whatever.jpg", SIZE)
    assert file.class_names == ("background", "road", "tree")
    assert (label_map == 2).sum() == 8 * 4
    assert (label_map[:, 10:] == 1).all()  # the box
    assert [area.is_box for area in file.photos[0].areas] == [False, True]


def test_a_file_without_lines_shows_nothing() -> None:
    assert not read_yolo("\n", "a.txt", NAMES).label_map("a.jpg", SIZE).any()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("0 0.1 0.2 0.3", "is no area"),
        ("0 0.1 0.2 0.3 0.4 0.5", "is no area"),
        ("0 0.1 0.2 0.3 0.4 0.5 0.6 0.7", "is no area"),
        ("x 0.1 0.2 0.3 0.4 0.5 0.6", "is no area"),
        ("0 0.1 0.2 0.3 nan 0.5 0.6", "is no area"),
        ("0 0.1 0.2 0.3 300 0.5 0.6", "found 300"),
        (
            "2 0.1 0.2 0.3 0.4 0.5 0.6",
            "class 2 has no name: data.yaml, or the labelmap, names 2 classes",
        ),
    ],
)
def test_faults_name_file_and_line(line: str, said: str) -> None:
    with pytest.raises(BadDataset, match=rf"a.txt, line 2.*{said}"):
        read_yolo(f"0 0.1 0.1 0.5 0.1 0.5 0.5\n{line}", "a.txt", NAMES)


def test_a_class_where_no_names_are_given() -> None:
    with pytest.raises(BadDataset, match="class 0 has no name; give the names: a labelmap"):
        read_yolo("0 0.1 0.1 0.5 0.1 0.5 0.5", "a.txt", {})


def test_it_is_known_by_its_first_line() -> None:
    assert looks_like_yolo("\n0 0.5 0.5 0.1 0.1")
    assert not looks_like_yolo("a 0.5 0.5 0.1 0.1")
    assert not looks_like_yolo("0 0.5")
    assert not looks_like_yolo("")


@pytest.mark.parametrize("size", [(40, 63), (33, 1), (1, 7), (3, 4001)])
def test_a_label_map_is_written_and_read_without_loss(size: tuple[int, int]) -> None:
    """Noise of all classes, with holes, islands and corners that touch, and of ignored pixels."""
    values = np.random.default_rng(size[1]).integers(0, 4, size)
    label_map = np.array([0, 1, 2, 255], np.uint8)[values]
    text = write_label_map(label_map, ignored=9)
    names = {**NAMES, 9: "__ignore__"}
    assert np.array_equal(read_yolo(text, "a.txt", names).label_map("", Size(*size)), label_map)


def test_corners_of_a_rectangle_are_short() -> None:
    label_map = np.zeros((10, 20), np.uint8)
    label_map[2:5, 5:10] = 2
    assert write_label_map(label_map, ignored=9) == "1 0.25 0.2 0.5 0.2 0.5 0.5 0.25 0.5\n"
