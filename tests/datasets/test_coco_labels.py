from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from atrous.datasets import annotated_areas
from atrous.datasets.coco_labels import CocoAnnotation, CocoLabels
from atrous.domain.errors import BadDataset, BadImage
from atrous.domain.geometry import Size

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SIZE = Size(height=20, width=30)
LEFT = [0, 0, 15, 0, 15, 20, 0, 20]
MIDDLE = [10, 5, 20, 5, 20, 15, 10, 15]
RIGHT = [25, 0, 30, 0, 30, 20, 25, 20]


def labels(*annotations: tuple[int, Any], size: Size | None = SIZE) -> CocoLabels:
    return CocoLabels(
        Path("train.json"), "a.jpg", size, tuple(CocoAnnotation(*each) for each in annotations)
    )


def ring(compressed: bool) -> dict[str, Any]:
    """An RLE of a square with a hole."""
    mask = np.zeros((20, 30), np.uint8)
    mask[2:12, 2:12] = 1
    mask[5:8, 5:8] = 0
    if compressed:
        encoded = coco_mask.encode(np.asfortranarray(mask))
        return {"size": [20, 30], "counts": encoded["counts"].decode()}
    flat = mask.ravel(order="F")
    borders = [0, *(np.flatnonzero(np.diff(flat)) + 1).tolist(), flat.size]
    return {"size": [20, 30], "counts": np.diff(borders).tolist()}


def test_nothing_annotated_is_background() -> None:
    assert labels().read(SIZE).tolist() == np.zeros((20, 30)).tolist()


def test_later_annotations_lie_on_top() -> None:
    first = labels((1, [LEFT]), (2, [MIDDLE])).read(SIZE)
    then = labels((2, [MIDDLE]), (1, [LEFT])).read(SIZE)
    assert (first[10, 5], first[10, 12], first[10, 18], first[10, 28]) == (1, 2, 2, 0)
    assert (then[10, 5], then[10, 12], then[10, 18], then[10, 28]) == (1, 1, 2, 0)


def test_order_holds_between_neighbours_of_one_class() -> None:
    label_map = labels((1, [LEFT]), (2, [MIDDLE]), (1, [RIGHT]), (1, [MIDDLE])).read(SIZE)
    assert (label_map[10, 12], label_map[10, 28]) == (1, 1)
    assert not (label_map == 2).any()


def test_rings_of_one_annotation_are_united() -> None:
    label_map = labels((3, [LEFT, MIDDLE, RIGHT])).read(SIZE)
    assert label_map[10, [5, 12, 18, 22, 28]].tolist() == [3, 3, 3, 0, 3]


@pytest.mark.parametrize("compressed", [True, False])
def test_rle_keeps_its_hole_open_to_what_lies_below(compressed: bool) -> None:
    outline = ring(compressed)
    label_map = labels((1, [LEFT]), (2, outline)).read(SIZE)
    assert (label_map[3, 3], label_map[6, 6]) == (2, 1)
    theirs = coco_mask.decode(
        outline if compressed else coco_mask.frPyObjects(outline, SIZE.height, SIZE.width)
    )
    np.testing.assert_array_equal(labels((1, outline)).read(SIZE), theirs)


def test_polygons_and_rle_of_one_class_are_drawn_together() -> None:
    label_map = labels((1, ring(True)), (1, [RIGHT])).read(SIZE)
    assert (label_map[3, 3], label_map[3, 28], label_map[6, 6]) == (1, 1, 0)


def test_another_size_is_refused() -> None:
    with pytest.raises(BadDataset, match="annotated as 30x20 but the photo is 20x30"):
        labels((1, [LEFT])).read(Size(30, 20))
    with pytest.raises(BadDataset, match=r"RLE of a.jpg has the size \[20, 30\]"):
        labels((1, ring(True)), size=None).read(Size(30, 20))
    assert labels((1, [LEFT]), size=None).read(Size(30, 20)).shape == (30, 20)


@pytest.mark.parametrize(
    "outline",
    [
        [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        [[1, 2, 3]],
        [[]],
        {"size": [20, 30]},
        {"size": [20, 30], "counts": [5]},
        {"size": [20, 30], "counts": "zzz"},
    ],
)
def test_damaged_outlines_name_file_and_photo(outline: Any) -> None:
    with pytest.raises(BadImage, match=r"train.json: a.jpg: "):
        labels((1, outline)).read(SIZE)


def test_ids_are_known_and_the_file_is_named() -> None:
    assert labels().unknown_ids(SIZE) == {}
    assert labels().paths() == (Path("train.json"),)


def test_masks_of_one_photo_have_a_limit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotated_areas, "MAX_DRAWN_PIXELS", 2 * SIZE.area)
    assert labels((1, ring(True)), (2, ring(False)), (3, [LEFT])).read(SIZE).any()
    with pytest.raises(BadImage, match="train.json: a.jpg: the masks of the photo have 1800"):
        labels((1, ring(True)), (2, ring(False)), (1, ring(True))).read(SIZE)


@pytest.mark.parametrize("outline", [[LEFT], ring(True)])
def test_drawing_ends_when_nobody_waits_for_it(outline: Any) -> None:
    def stop() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        labels((1, outline)).read(SIZE, stop)
