import numpy as np
import pytest

from atrous.datasets.preparation import (
    Preparation,
    Resize,
    cut_boxes,
    for_prepared,
    left_out,
    prepare,
    remap_classes,
    serving_choices,
    shows_class,
)
from atrous.domain.geometry import Size
from atrous.domain.recipes import PreprocessRecipe, StaticCrop, preprocess_from_json
from atrous.images.preprocess import fit_image

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
    height = size[0] if size[0] == 32 or factor == 1 else 106
    assert piece.label_map.shape == ((height if factor == 1 or size[0] != 32 else 160), 32 * factor)
    inner = piece
    if "edges" in fit and "reflect" not in fit:
        inner = type(piece)(
            "",
            piece.image[6 * factor : -6 * factor],
            piece.label_map[6 * factor : -6 * factor],
        )
    assert agreement(inner) > 0.75
    assert set(np.unique(inner.label_map)) <= {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("fit", "level"),
    [("Fit (black edges) in", 0), ("Fit (white edges) in", 255), ("Fit (grey edges) in", 127)],
)
def test_edges_are_ignored(image, label_map, fit, level) -> None:
    piece = only(image, label_map, resize=Resize(Size(60, 60), fit))
    assert (piece.image[:10] == level).all()
    assert (piece.label_map[:10] == 255).all()
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


def test_each_region_is_a_picture_of_its_own() -> None:
    label_map = np.zeros((40, 60), np.uint8)
    label_map[2:12, 3:23] = 1
    label_map[20:30, 40:50] = 2
    label_map[21, 41] = 255
    image = np.repeat((label_map % 200)[..., None], 3, axis=2)
    pieces = list(prepare(image, label_map, Preparation(isolate=True)))
    assert [piece.suffix for piece in pieces] == ["_i1", "_i2"]
    assert np.array_equal(pieces[0].label_map, label_map[2:12, 3:23])
    assert np.array_equal(pieces[1].label_map, label_map[20:30, 40:50])
    cropped = Preparation(
        static_crop=StaticCrop(50.0, 100.0, 0.0, 100.0), isolate=True, tiles=(2, 1)
    )
    boxes = cut_boxes(label_map, cropped)
    assert [suffix for suffix, _ in boxes] == ["_i1_r1c1", "_i1_r2c1"]
    assert (boxes[0][1].left, boxes[0][1].top, boxes[1][1].top) == (40, 20, 25)
    assert list(prepare(image, np.zeros_like(label_map), Preparation(isolate=True))) == []


@pytest.mark.parametrize(
    "steps",
    [
        Preparation(resize=Resize(Size(48, 32))),
        Preparation(grayscale=True, resize=Resize(Size(64, 64), "Fit (white edges) in")),
        Preparation(contrast="Contrast Stretching", resize=Resize(Size(31, 90))),
        Preparation(
            static_crop=StaticCrop(10.0, 95.0, 5.0, 80.0),
            contrast="Histogram Equalization",
            resize=Resize(Size(50, 50), "Fit (grey edges) in"),
        ),
        Preparation(grayscale=True, resize=Resize(Size(40, 40), "Fit (black edges) in")),
    ],
    ids=repr,
)
def test_a_model_sees_a_photo_as_it_saw_the_picture(label_map, steps) -> None:
    """What a version is made of and what serving repeats are the same pixels."""
    photo = np.random.default_rng(0).integers(0, 256, (HEIGHT * 3, WIDTH * 3, 3), dtype=np.uint8)
    labels = np.kron(label_map, np.ones((3, 3), np.uint8))
    (piece,) = prepare(photo, labels, steps)
    trained = PreprocessRecipe(size=steps.resize.size)
    values = {**vars(trained), "size": vars(trained.size), **serving_choices(steps)}
    served = preprocess_from_json(values)
    assert np.array_equal(fit_image(photo, served)[0], piece.image)
    again, _ = fit_image(piece.image, for_prepared(served))
    assert np.array_equal(again, piece.image)


def test_what_serving_repeats() -> None:
    nothing = {"static_crop": None, "grayscale": False, "contrast": None}
    assert serving_choices(Preparation(tiles=(2, 2), isolate=True)) == nothing
    stretched = Preparation(resize=Resize(Size(8, 8)))
    assert serving_choices(stretched) == nothing
    for fit, mode in (
        ("Fit within", "letterbox"),
        ("Fill (with center crop) in", "letterbox"),
        ("Fit (reflect edges) in", "letterbox-reflect-edges"),
    ):
        steps = Preparation(resize=Resize(Size(8, 8), fit))
        assert serving_choices(steps)["resize_mode"] == mode


def test_which_pictures_show_a_class() -> None:
    assert not shows_class(np.array([[0, 255]], np.uint8))
    assert shows_class(np.array([[0, 1]], np.uint8))


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
