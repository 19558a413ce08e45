import numpy as np
import pytest

from atrous.datasets.augmentations.geometry import Crop, Flip, QuarterTurn, Rotate, Shear

STEPS = [
    Flip(horizontal=True, vertical=True),
    QuarterTurn(clockwise=True, counter_clockwise=True, upside_down=True),
    Crop(min_percent=10.0, max_percent=70.0),
    Rotate(degrees=180.0),
    Rotate(degrees=10.0),
    Shear(horizontal_degrees=45.0, vertical_degrees=45.0),
    Shear(horizontal_degrees=20.0, vertical_degrees=0.0),
]


@pytest.mark.parametrize("step", STEPS, ids=repr)
def test_labels_stay_on_what_they_name(coded_picture, step) -> None:
    image, label_map = coded_picture.coded()
    changed = 0
    for seed in range(20):
        moved, labels = step(image, label_map, np.random.default_rng(seed))
        assert moved.shape[:2] == labels.shape
        assert set(np.unique(labels)) <= {0, 1, 2, 3, 255}
        assert coded_picture.disagreement(moved, labels) < 0.002
        changed += labels.shape != label_map.shape or not np.array_equal(labels, label_map)
    assert changed > 8


def test_a_single_pixel_moves_with_its_label() -> None:
    """Half a pixel beside would show here: quarter and half turns are exact."""
    image, label_map = np.zeros((9, 13, 3), np.uint8), np.zeros((9, 13), np.uint8)
    image[2, 3], label_map[2, 3] = 200, 1
    for step in (Flip(vertical=True), QuarterTurn(upside_down=True)):
        for seed in range(6):
            moved, labels = step(image, label_map, np.random.default_rng(seed))
            assert np.array_equal(moved[..., 0] == 200, labels == 1)
            assert labels.sum() == 1


@pytest.mark.parametrize("step", STEPS, ids=repr)
def test_labels_lie_within_a_fraction_of_a_pixel(step) -> None:
    """The middle of a disc is where the middle of its label is."""
    rows, columns = np.mgrid[:101, :121]
    label_map = ((rows - 52) ** 2 + (columns - 55) ** 2 < 25**2).astype(np.uint8)
    image = np.repeat((label_map * 200)[..., None], 3, axis=2)
    distances = []
    for seed in range(30):
        moved, labels = step(image, label_map, np.random.default_rng(seed))
        seen = (labels == 1)[1:-1, 1:-1]
        if (labels == 1).sum() != seen.sum():
            continue  # cut by the frame
        light = moved[..., 0] / moved[..., 0].sum()
        row, column = np.mgrid[: labels.shape[0], : labels.shape[1]]
        middle = np.argwhere(labels == 1).mean(axis=0)
        distances.append(
            np.hypot((light * row).sum() - middle[0], (light * column).sum() - middle[1])
        )
    assert len(distances) > 5
    assert np.mean(distances) < 0.1
    assert max(distances) < 0.3


def test_each_axis_is_flipped_half_of_the_time(coded_picture) -> None:
    image, label_map = coded_picture.coded()
    rng = np.random.default_rng(0)
    seen = [Flip(horizontal=True)(image, label_map, rng)[1] for _ in range(200)]
    mirrored = sum(np.array_equal(labels, label_map[:, ::-1]) for labels in seen)
    assert 70 < mirrored < 130
    assert all(
        np.array_equal(labels, label_map) or np.array_equal(labels, label_map[:, ::-1])
        for labels in seen
    )


@pytest.mark.parametrize(
    ("turn", "quarters"),
    [
        (QuarterTurn(True, False, False), {0, 3}),
        (QuarterTurn(False, True, False), {0, 1}),
        (QuarterTurn(False, False, True), {0, 2}),
    ],
)
def test_only_the_chosen_turns_occur(coded_picture, turn, quarters) -> None:
    image, label_map = coded_picture.coded()
    seen = set()
    for seed in range(30):
        _, labels = turn(image, label_map, np.random.default_rng(seed))
        seen |= {n for n in range(4) if np.array_equal(labels, np.rot90(label_map, n))}
    assert seen == quarters


def test_a_crop_zooms_in_by_percent_of_the_sides() -> None:
    columns = np.tile(np.arange(200, dtype=np.uint8), (100, 1))
    image = np.repeat(columns[..., None], 3, axis=2)
    crop = Crop(min_percent=50.0, max_percent=50.0)
    zoomed, labels = crop(image, columns, np.random.default_rng(1))
    assert zoomed.shape == (100, 200, 3)
    assert int(labels.max()) - int(labels.min()) == 99  # half of the columns are left
    tiny = crop(image[:1, :1], columns[:1, :1], np.random.default_rng(1))
    assert tiny[1].shape == (1, 1)


def test_what_comes_from_outside_is_black_and_ignored() -> None:
    image, label_map = np.full((80, 80, 3), 255, np.uint8), np.ones((80, 80), np.uint8)
    moved, labels = Rotate(degrees=45.0)(image, label_map, np.random.default_rng(3))
    assert labels[0, 0] == 255
    assert not moved[0, 0].any()
    assert labels[40, 40] == 1
    assert np.array_equal(np.unique(labels), [1, 255])


def test_nothing_happens_at_zero(coded_picture) -> None:
    image, label_map = coded_picture.coded()
    for step in (Rotate(0.0), Shear(0.0, 0.0), Crop(0.0, 0.0)):
        moved, labels = step(image, label_map, np.random.default_rng(0))
        assert np.array_equal(moved, image)
        assert np.array_equal(labels, label_map)
