import numpy as np
import pytest

from atrous.datasets.augmentations.augmentation import Augmentation, augment, random_stream
from atrous.datasets.augmentations.blur import Blur
from atrous.datasets.augmentations.colour import Hue
from atrous.datasets.augmentations.erasing import Cutout
from atrous.datasets.augmentations.geometry import Crop, Flip, QuarterTurn, Rotate

EVERYTHING = Augmentation(
    versions=3,
    mosaic=True,
    geometry=(Flip(), QuarterTurn(), Crop(0.0, 30.0), Rotate(20.0)),
    look=(Hue(30.0), Blur(2.0)),
    cutout=Cutout(2, 20.0),
)


@pytest.fixture
def partner(coded_picture):
    return lambda rng: coded_picture.coded(80 + int(rng.integers(0, 9)), 70)


def test_the_same_stream_gives_the_same_picture(coded_picture, partner) -> None:
    image, label_map = coded_picture.coded()
    seen = set()
    for number in range(8):
        first, second = (
            augment(image, label_map, EVERYTHING, random_stream(7, f"photo/{number}"), partner)
            for _ in range(2)
        )
        assert np.array_equal(first[0], second[0])
        assert np.array_equal(first[1], second[1])
        assert first[0].shape[:2] == first[1].shape
        seen.add(first[0].tobytes())
    assert len(seen) == 8


def test_geometry_and_mosaic_keep_labels_in_place(coded_picture, partner) -> None:
    image, label_map = coded_picture.coded()
    moved_only = Augmentation(2, True, EVERYTHING.geometry, (), EVERYTHING.cutout)
    for number in range(15):
        rng = random_stream(1, str(number))
        moved, labels = augment(image, label_map, moved_only, rng, partner)
        assert coded_picture.disagreement(moved, labels) < 0.05


def test_looks_leave_labels_alone(coded_picture, partner) -> None:
    image, label_map = coded_picture.coded()
    looks = Augmentation(look=EVERYTHING.look)
    changed, labels = augment(image, label_map, looks, random_stream(0, "x"), partner)
    assert labels is label_map
    assert not np.array_equal(changed, image)


def test_streams_differ_by_seed_and_name() -> None:
    firsts = {random_stream(seed, name).random() for seed in (0, 1) for name in ("a", "b", "")}
    assert len(firsts) == 6


def test_copies_are_made_where_they_can_differ() -> None:
    assert EVERYTHING.copies == 3
    assert Augmentation(versions=5).copies == 1
    assert not Augmentation(versions=5).changes_pixels
    assert Augmentation(mosaic=True).changes_pixels
