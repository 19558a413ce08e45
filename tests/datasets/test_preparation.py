import numpy as np
import pytest

from atrous.datasets.preparation import (
    Preparation,
    Resize,
    left_out,
    prepare,
    read_preparation,
    remap_classes,
)
from atrous.domain.errors import BadInput
from atrous.domain.geometry import Size
from atrous.domain.recipes import StaticCrop

HEIGHT, WIDTH = 40, 60


@pytest.fixture
def label_map() -> np.ndarray:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return ((rows // 10 + columns // 10) % 4).astype(np.uint8)


@pytest.fixture
def image(label_map: np.ndarray) -> np.ndarray:
    """Grey levels that tell the class, so that both can be compared after a step."""
    return np.repeat((label_map * 60)[..., None], 3, axis=2)


def only(image: np.ndarray, label_map: np.ndarray, **steps: object):
    (piece,) = prepare(image, label_map, Preparation(**steps))
    assert piece.image.shape[:2] == piece.label_map.shape
    return piece


def agreement(piece) -> float:
    """The share of pixels whose grey level is that of their class."""
    return float((np.rint(piece.image[..., 0] / 60) == piece.label_map).mean())


def test_no_steps_change_nothing(image, label_map) -> None:
    piece = only(image, label_map)
    assert np.array_equal(piece.image, image)
    assert np.array_equal(piece.label_map, label_map)
    assert not Preparation(auto_orient=True, remap=(("a", "b"),)).changes_pixels


@pytest.mark.parametrize(
    ("fit", "size"),
    [
        ("Stretch to", (32, 32)),
        ("Fill (with center crop) in", (32, 32)),
        ("Fit within", (21, 32)),
        ("Fit (reflect edges) in", (32, 32)),
        ("Fit (black edges) in", (32, 32)),
        ("Fit (white edges) in", (32, 32)),
        ("Fit (grey edges) in", (32, 32)),
    ],
)
@pytest.mark.parametrize("factor", [1, 5], ids=["smaller", "larger"])
def test_labels_follow_the_photo(image, label_map, fit, size, factor) -> None:
    target = Size(32 * factor, 32 * factor)
    piece = only(image, label_map, resize=Resize(target, fit))
    height = size[0] if size[0] == 32 or factor == 1 else 107
    assert piece.label_map.shape == ((height if factor == 1 or size[0] != 32 else 160), 32 * factor)
    inner = piece
    if "edges" in fit and "reflect" not in fit:
        inner = type(piece)(
            "",
            piece.image[6 * factor : -6 * factor],
            piece.label_map[6 * factor : -6 * factor],
        )
    assert agreement(inner) > 0.75
    assert set(np.unique(piece.label_map)) <= {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("fit", "level"),
    [("Fit (black edges) in", 0), ("Fit (white edges) in", 255), ("Fit (grey edges) in", 127)],
)
def test_edges_are_background(image, label_map, fit, level) -> None:
    piece = only(image, label_map, resize=Resize(Size(60, 60), fit))
    assert (piece.image[:10] == level).all()
    assert (piece.label_map[:10] == 0).all()
    assert np.array_equal(piece.label_map[10:50], label_map)


def test_reflected_edges_carry_reflected_labels(image, label_map) -> None:
    piece = only(image, label_map, resize=Resize(Size(100, 60), "Fit (reflect edges) in"))
    assert np.array_equal(piece.label_map[:30], label_map[:30][::-1])
    assert agreement(piece) == 1


def test_a_crop_in_percent(image, label_map) -> None:
    piece = only(image, label_map, static_crop=StaticCrop(50.0, 100.0, 25.0, 75.0))
    assert np.array_equal(piece.label_map, label_map[10:30, 30:60])
    assert agreement(piece) == 1
    tiny = only(image[:1, :1], label_map[:1, :1], static_crop=StaticCrop(40.0, 60.0, 40.0, 60.0))
    assert tiny.label_map.shape == (1, 1)


def test_tiles_cover_the_photo_once(image, label_map) -> None:
    pieces = list(prepare(image, label_map, Preparation(tiles=(3, 2))))
    assert [piece.suffix for piece in pieces] == [
        f"_r{row}c{column}" for row in (1, 2, 3) for column in (1, 2)
    ]
    rows = [np.hstack([piece.label_map for piece in pieces[at : at + 2]]) for at in (0, 2, 4)]
    assert np.array_equal(np.vstack(rows), label_map)
    assert all(agreement(piece) == 1 for piece in pieces)
    assert len(list(prepare(image[:1, :1], label_map[:1, :1], Preparation(tiles=(3, 2))))) == 1


def test_grey_and_contrast_leave_labels_alone(label_map) -> None:
    image = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    grey = only(image, label_map, grayscale=True, contrast="Contrast Stretching")
    assert np.array_equal(grey.image[..., 0], grey.image[..., 2])
    assert np.array_equal(grey.label_map, label_map)


def test_classes_are_renamed_merged_and_dropped() -> None:
    names = ("background", "car", "bus", "dirt", "tree")
    kept, table = remap_classes(names, (("car", "vehicle"), ("bus", "vehicle"), ("dirt", "")))
    assert kept == ("background", "vehicle", "tree")
    assert table[:5].tolist() == [0, 1, 1, 0, 2]
    assert table[255] == 255
    same, table = remap_classes(names, ())
    assert same == names
    assert table.tolist() == list(range(256))


def test_empty_photos_are_left_out_by_seed() -> None:
    empty = [f"{number}.jpg" for number in range(30)]
    gone = left_out(empty, labelled=20, labelled_percent=80.0, seed=1)
    assert len(gone) == 25  # 20 of 25 are labelled
    assert gone == left_out(list(reversed(empty)), 20, 80.0, seed=1)
    assert gone != left_out(empty, 20, 80.0, seed=2)
    assert left_out(empty, 20, 0.0, seed=1) == frozenset()
    assert left_out(empty, 20, 100.0, seed=1) == frozenset(empty)


def test_steps_are_read_as_clients_write_them() -> None:
    steps = read_preparation(
        {
            "auto-orient": True,
            "resize": {"enabled": True, "width": "640", "height": 480, "format": "Fit within"},
            "grayscale": {"enabled": False},
            "contrast": {"type": "Contrast Stretching"},
            "static-crop": {"x_min": 10, "x_max": 90, "y_min": 0, "y_max": 50},
            "tile": {"rows": 2, "columns": 3},
            "remap": {"car": "vehicle", "dirt": None, "enabled": True},
            "filter-null": {"percent": 50},
            "isolate": False,
        },
        {"image": {"versions": 1}, "flip": {"enabled": False}, "mosaic": False},
    )
    assert steps == Preparation(
        auto_orient=True,
        static_crop=StaticCrop(10.0, 90.0, 0.0, 50.0),
        tiles=(2, 3),
        contrast="Contrast Stretching",
        resize=Resize(Size(480, 640), "Fit within"),
        remap=(("car", "vehicle"), ("dirt", "")),
        labelled_percent=50.0,
    )
    assert read_preparation({}, {}) == Preparation()


@pytest.mark.parametrize(
    ("preprocessing", "augmentation"),
    [
        ({"isolate": True}, {}),
        ({"resize": True}, {}),
        ({"resize": {"width": 10, "height": 10, "format": "Squeeze"}}, {}),
        ({"resize": {"width": 10_000, "height": 10}}, {}),
        ({"resize": {"width": "x", "height": 10}}, {}),
        ({"contrast": {"type": "Strong"}}, {}),
        ({"static-crop": {"x_min": 90, "x_max": 10, "y_min": 0, "y_max": 50}}, {}),
        ({"static-crop": {"x_min": "nan", "x_max": 10, "y_min": 0, "y_max": 50}}, {}),
        ({"tile": {"rows": 0, "columns": 1}}, {}),
        ({"filter-null": {"percent": 101}}, {}),
        ({}, {"flip": {"horizontal": True}}),
        ({}, {"image": {"versions": 3}}),
    ],
)
def test_steps_that_are_not_offered(preprocessing, augmentation) -> None:
    with pytest.raises(BadInput):
        read_preparation(preprocessing, augmentation)
