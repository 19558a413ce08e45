import numpy as np
import pytest

from atrous.datasets import annotated_areas
from atrous.datasets.annotated_areas import (
    AnnotatedPhoto,
    Area,
    Patch,
    area_file,
    count_boxes,
    ellipse,
    rectangle,
)
from atrous.domain.classes import IGNORED
from atrous.domain.errors import BadDataset, BadImage
from atrous.domain.geometry import Size

SIZE = Size(10, 12)
LEFT, MIDDLE = rectangle(2.0, 2.0, 6.0, 6.0), rectangle(4.0, 2.0, 10.0, 6.0)


def photo(*areas: Area, **changes) -> AnnotatedPhoto:
    return AnnotatedPhoto(**{"name": "a.jpg", "size": SIZE, "areas": areas, **changes})


def test_later_areas_lie_on_top_and_classes_are_in_order() -> None:
    file = area_file("f", "x", [photo(Area("tree", (LEFT,)), Area("road", (MIDDLE,)))], ["road"])
    assert file.class_names == ("background", "road", "tree")
    label_map = file.label_map("a.jpg", SIZE)
    assert (label_map[3, 3], label_map[3, 5], label_map[9, 9]) == (2, 1, 0)
    assert (label_map > 0).sum() == 4 * 8


def test_fractions_are_of_width_and_height() -> None:
    relative = (1 / 6, 0.2, 0.5, 0.2, 0.5, 0.6, 1 / 6, 0.6)
    file = area_file("f", "x", [photo(Area("tree", (relative,)), size=None, is_relative=True)])
    expected = area_file("f", "x", [photo(Area("tree", (LEFT,)))])
    assert np.array_equal(file.label_map("a.jpg", SIZE), expected.label_map("a.jpg", SIZE))


def test_patches_background_and_ignored_areas() -> None:
    pixels = np.array([[True, False], [True, True]])
    areas = (
        Area("tree", (LEFT,)),
        Area("Background", (rectangle(2.0, 2.0, 3.0, 6.0),)),
        Area(IGNORED, (rectangle(3.0, 2.0, 4.0, 6.0),)),
        Area("road", patch=Patch(10, 8, Size(2, 2), lambda: pixels)),
    )
    file = area_file("f", "x", [photo(*areas)])
    label_map = file.label_map("a.jpg", SIZE)
    assert file.class_names == ("background", "tree", "road")
    assert label_map[3, 2:6].tolist() == [0, 255, 1, 1]
    assert label_map[8:, 10:].tolist() == [[2, 0], [2, 2]]


@pytest.mark.parametrize(("left", "top"), [(11, 0), (-1, 0), (0, 9)])
def test_a_patch_lies_within_its_photo(left: int, top: int) -> None:
    area = Area("road", patch=Patch(left, top, Size(2, 2), lambda: pytest.fail("it was read")))
    with pytest.raises(BadImage, match="does not fit"):
        area_file("f", "x", [photo(area)]).label_map("a.jpg", SIZE)


def test_masks_of_one_photo_have_a_limit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    area = Area("road", patch=Patch(0, 0, Size(2, 2), lambda: np.ones((2, 2), bool)))
    file = area_file("f", "x", [photo(*[area] * 3), photo(*[area] * 3, name="b.jpg")])
    monkeypatch.setattr(annotated_areas, "MAX_DRAWN_PIXELS", 12)
    assert file.label_map("a.jpg", SIZE).sum() == 4
    monkeypatch.setattr(annotated_areas, "MAX_DRAWN_PIXELS", 11)
    with pytest.raises(BadImage, match="f: a.jpg: the masks of the photo have 12 pixels"):
        file.label_map("a.jpg", SIZE)


def test_drawing_ends_when_nobody_waits_for_it() -> None:
    def stop() -> None:
        raise TimeoutError

    patch = Area("road", patch=Patch(0, 0, Size(2, 2), lambda: pytest.fail("it was read")))
    for area in (patch, Area("tree", (LEFT,))):
        with pytest.raises(TimeoutError):
            area_file("f", "x", [photo(area)]).label_map("a.jpg", SIZE, stop)


def test_what_is_not_listed_or_does_not_fit() -> None:
    file = area_file("f.xml", "x", [photo(), photo(name="b.jpg")])
    assert file.lists("b.png")
    assert not file.lists("c.jpg")
    with pytest.raises(BadDataset, match=r"f.xml does not list 'c.jpg' among its 2"):
        file.label_map("c.jpg", SIZE)
    with pytest.raises(BadDataset, match="annotated as 12x10"):
        file.label_map("a.jpg", Size(5, 5))
    broken = area_file("f.xml", "x", [photo(Area("a", ((1.0, 2.0),)))])
    with pytest.raises(BadImage, match="f.xml: a.jpg: a polygon has 2 numbers"):
        broken.label_map("a.jpg", SIZE)


def test_photos_of_one_name_are_told_apart_by_their_folders() -> None:
    one = photo(Area("road", (LEFT,)), name="cam1/1.jpg")
    file = area_file("f.xml", "x", [one, photo(name="cam2/1.jpg")])
    assert file.label_map("images/cam1/1.jpg", SIZE).any()
    assert not file.label_map("images/cam2/1.jpg", SIZE).any()
    with pytest.raises(BadDataset, match=r"f.xml lists '1.jpg' more than once"):
        file.label_map("1.jpg", SIZE)


def test_too_many_classes() -> None:
    with pytest.raises(BadDataset, match="300 classes"):
        area_file("f", "x", [photo()], [f"c{number}" for number in range(299)])


def test_boxes_are_counted_and_an_ellipse_is_round() -> None:
    areas = (Area("a", (LEFT,), is_box=True), Area("a", (ellipse(6.0, 5.0, 4.0, 3.0),)))
    file = area_file("f", "x", [photo(*areas)])
    assert count_boxes([file]) == (1, 2)
    drawn = area_file("f", "x", [photo(areas[1])]).label_map("a.jpg", SIZE)
    assert abs(int(drawn.sum()) - np.pi * 12) < 4
