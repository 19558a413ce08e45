import numpy as np
import pytest

from atrous.datasets.augmentations.colour import (
    Brightness,
    Exposure,
    Hue,
    RandomGrayscale,
    Saturation,
)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "step",
    [RandomGrayscale(50.0), Hue(180.0), Saturation(99.0), Brightness(99.0), Exposure(99.0)],
    ids=repr,
)
def test_chance_decides_and_can_be_repeated(image, step) -> None:
    before = image.copy()
    seen = [step(image, np.random.default_rng(seed)) for seed in range(12)]
    assert all(changed.shape == image.shape and changed.dtype == np.uint8 for changed in seen)
    assert len({changed.tobytes() for changed in seen}) > 1
    again = [step(image, np.random.default_rng(seed)) for seed in range(12)]
    assert all(np.array_equal(*pair) for pair in zip(seen, again, strict=True))
    assert np.array_equal(image, before)


def test_so_many_are_grey(image) -> None:
    rng = np.random.default_rng(0)
    grey = sum(
        np.ptp(RandomGrayscale(30.0)(image, rng).astype(int), axis=2).max() == 0 for _ in range(300)
    )
    assert 60 < grey < 120
    assert RandomGrayscale(0.0)(image, rng) is image


def test_hue_turns_the_circle_and_leaves_grey() -> None:
    red = np.full((4, 4, 3), (255, 0, 0), np.uint8)
    grey = np.full((4, 4, 3), 90, np.uint8)
    seen = set()
    for seed in range(30):
        turned = Hue(180.0)(red, np.random.default_rng(seed))
        assert turned.max() == 255
        assert turned.min() == 0  # as strong and as bright as before
        seen.add(int(turned[0, 0].argmax()))
        assert np.array_equal(Hue(180.0)(grey, np.random.default_rng(seed)), grey)
        near = Hue(20.0)(red, np.random.default_rng(seed))
        assert near[0, 0, 0] == 255
        assert near[0, 0, 1:].max() <= 90  # a third of the way to yellow or magenta
    assert seen == {0, 1, 2}


def test_saturation_pales_towards_grey() -> None:
    colour = np.full((2, 2, 3), (200, 100, 100), np.uint8)
    spreads = [
        int(np.ptp(Saturation(99.0)(colour, np.random.default_rng(seed))[0, 0]))
        for seed in range(40)
    ]
    assert min(spreads) < 20
    assert max(spreads) > 180
    weak = Saturation(10.0)(colour, np.random.default_rng(0))
    assert 89 <= np.ptp(weak[0, 0]) <= 111


@pytest.mark.parametrize(
    ("step", "low", "high"),
    [
        (Brightness(50.0, brighten=True, darken=False), 100, 150),
        (Brightness(50.0, brighten=False, darken=True), 50, 100),
        (Brightness(50.0), 50, 150),
        (Exposure(99.0), 39, 160),
    ],
    ids=repr,
)
def test_levels_move_within_their_bounds(step, low, high) -> None:
    grey = np.full((2, 2, 3), 100, np.uint8)
    seen = [int(step(grey, np.random.default_rng(seed))[0, 0, 0]) for seed in range(60)]
    assert low <= min(seen) < low + 12
    assert high - 12 < max(seen) <= high


def test_exposure_keeps_black_and_white() -> None:
    ends = np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)
    for seed in range(10):
        assert np.array_equal(Exposure(90.0)(ends, np.random.default_rng(seed)), ends)
