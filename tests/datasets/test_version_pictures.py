import numpy as np
import pytest

from atrous.datasets.version_pictures import Source, parts_by_content, pictures_of, random_part
from atrous.datasets.version_steps import read_version_steps

AUGMENTATION = {
    "image": {"versions": 3},
    "flip": {"horizontal": True},
    "ninety": {"clockwise": True},
    "rotate": {"degrees": 20},
    "hue": {"degrees": 90},
    "noise": {"percent": 10},
    "cutout": {"count": 2, "percent": 20},
    "mosaic": True,
}


@pytest.fixture
def source() -> Source:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (24, 36, 3), dtype=np.uint8)
    return Source("photo", image, rng.integers(0, 3, (24, 36), dtype=np.uint8))


def made(source: Source, preprocessing=None, augmentation=None, **options):
    steps = read_version_steps(preprocessing or {}, augmentation or {})
    options = {"seed": 1, "augmented": True, "partner": lambda rng: other(source), **options}
    return list(pictures_of(source, steps, **options))


def other(source: Source):
    return source.image[::-1], source.label_map[::-1]


def test_without_steps_the_photo_is_taken_as_it_came(source) -> None:
    (picture,) = made(source)
    assert (picture.suffix, picture.as_it_came) == ("", True)
    assert np.array_equal(picture.image, source.image)
    assert np.array_equal(picture.label_map, source.label_map)
    (grey,) = made(source, {"grayscale": True})
    assert not grey.as_it_came


def test_copies_are_for_training_alone_and_the_first_is_unchanged(source) -> None:
    resize = {"resize": {"width": 32, "height": 20}}
    pictures = made(source, resize, AUGMENTATION)
    assert [picture.suffix for picture in pictures] == ["", "_a2", "_a3"]
    assert len({picture.image.tobytes() for picture in pictures}) == 3
    assert {picture.image.shape for picture in pictures} == {(20, 32, 3)}  # turned ones, too
    (plain,) = made(source, resize, AUGMENTATION, augmented=False)
    assert np.array_equal(plain.image, pictures[0].image)
    assert np.array_equal(plain.label_map, pictures[0].label_map)
    (single,) = made(source, resize, {**AUGMENTATION, "image": {"versions": 1}})
    assert single.suffix == "_a1"
    assert not np.array_equal(single.image, plain.image)


def test_a_picture_follows_from_seed_photo_and_number_alone(source) -> None:
    first, second = made(source, {}, AUGMENTATION), made(source, {}, AUGMENTATION)
    for one, two in zip(first, second, strict=True):
        assert np.array_equal(one.image, two.image)
        assert np.array_equal(one.label_map, two.label_map)
    more = made(source, {}, {**AUGMENTATION, "image": {"versions": 5}})
    assert np.array_equal(more[2].image, first[2].image)
    for changed in (
        made(source, {}, AUGMENTATION, seed=2),
        made(Source("x", source.image, source.label_map), {}, AUGMENTATION),
    ):
        assert not np.array_equal(changed[1].image, first[1].image)


def test_parts_are_named_left_out_and_looked_at(source) -> None:
    tiles = {"tile": {"rows": 1, "columns": 2}}
    pictures = made(source, tiles, {**AUGMENTATION, "image": {"versions": 2}}, gone={"_r1c1"})
    assert [picture.suffix for picture in pictures] == ["_r1c2", "_r1c2_a2"]
    labels = source.label_map.copy()
    labels[:, :18] = 0
    shown = parts_by_content(labels, read_version_steps(tiles, {}))
    assert shown == {"_r1c1": False, "_r1c2": True}


def test_a_part_for_a_mosaic(source) -> None:
    steps = read_version_steps({"tile": {"rows": 1, "columns": 2}, "grayscale": True}, {})
    image, label_map = random_part(source, steps, np.random.default_rng(0))
    assert image.shape == (24, 18, 3)
    assert label_map.shape == (24, 18)
    assert np.array_equal(image[..., 0], image[..., 1])
    empty = Source("x", source.image, np.zeros_like(source.label_map))
    isolated = read_version_steps({"isolate": True}, {})
    assert random_part(empty, isolated, np.random.default_rng(0)) is None
    assert made(empty, {"isolate": True}) == []
