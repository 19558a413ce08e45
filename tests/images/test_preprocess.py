from dataclasses import replace

import cv2
import numpy as np
import pytest

from atrous.domain.classes import IGNORE_ID
from atrous.domain.errors import BadImage
from atrous.domain.geometry import Box, Size
from atrous.domain.recipes import PreprocessRecipe, ResizeMode, StaticCrop
from atrous.images.contrast import adjust_contrast
from atrous.images.preprocess import fit_image, fit_label_map, normalize, place, preprocess

MODES = ("stretch", "letterbox", "letterbox-reflect-edges", "center-crop", "fit-longer-edge")


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (height, width, 3)).astype(np.uint8)


def recipe(mode: ResizeMode = "stretch", height: int = 32, width: int = 48) -> PreprocessRecipe:
    return PreprocessRecipe(size=Size(height, width), resize_mode=mode)


def test_stretch_is_opencvs_bilinear() -> None:
    image = noise(50, 41)
    fitted, placement = fit_image(image, recipe())
    assert np.array_equal(fitted, cv2.resize(image, (48, 32)))
    assert placement.content == Box(0, 0, 48, 32)
    assert placement.seen_in_crop == Box(0, 0, 41, 50)


def test_letterbox_rounds_down_and_pads_more_below() -> None:
    image = noise(100, 30)
    fitted, placement = fit_image(image, replace(recipe("letterbox"), padding_value=114))
    # scale 0.32: 9.6 -> 9 columns, int((48 - 9) / 2) = 19 before them
    assert placement.content == Box(19, 0, 28, 32)
    assert np.array_equal(fitted[:, 19:28], cv2.resize(image, (9, 32)))
    assert (fitted[:, :19] == 114).all()
    assert (fitted[:, 28:] == 114).all()


def test_reflecting_letterbox_is_a_letterbox() -> None:
    image = noise(33, 91)
    first, _ = fit_image(image, recipe("letterbox"))
    second, _ = fit_image(image, recipe("letterbox-reflect-edges"))
    assert np.array_equal(first, second)


def test_fit_longer_edge_has_black_edges_whatever_the_recipe_says() -> None:
    image = noise(33, 91)
    fitted, _ = fit_image(image, replace(recipe("fit-longer-edge"), padding_value=200))
    expected, _ = fit_image(image, recipe("letterbox"))
    assert np.array_equal(fitted, expected)


def test_center_crop_cuts_without_scaling() -> None:
    image = noise(41, 99)
    fitted, placement = fit_image(image, recipe("center-crop"))
    # 9 rows too many: 4 above; 51 columns too many: 25 left
    assert np.array_equal(fitted, image[4:36, 25:73])
    assert placement.content == Box(-25, -4, 74, 37)
    assert placement.seen == Box(0, 0, 48, 32)
    assert placement.seen_in_crop == Box(25, 4, 73, 36)


def test_center_crop_pads_with_black() -> None:
    image = noise(21, 99)
    fitted, placement = fit_image(image, replace(recipe("center-crop"), padding_value=9))
    assert np.array_equal(fitted[5:26], image[:, 25:73])
    assert not fitted[:5].any()
    assert not fitted[26:].any()
    assert placement.seen == Box(0, 5, 48, 26)


def test_static_crop_in_percent_rounds_down() -> None:
    image = noise(101, 203)
    cropped = replace(recipe(), static_crop=StaticCrop(10.0, 75.0, 25.0, 90.0))
    fitted, placement = fit_image(image, cropped)
    assert placement.crop == Box(left=20, top=25, right=152, bottom=90)
    assert np.array_equal(fitted, cv2.resize(image[25:90, 20:152], (48, 32)))


def test_static_crop_that_leaves_nothing() -> None:
    with pytest.raises(BadImage, match="3x2"):
        place(Size(2, 3), replace(recipe(), static_crop=StaticCrop(10.0, 20.0, 0.0, 100.0)))


def test_grayscale_is_replicated_before_contrast() -> None:
    image = noise(32, 48)
    grey = np.stack([cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)] * 3, axis=2)
    steps = replace(recipe(), grayscale=True, contrast="Contrast Stretching")
    fitted, _ = fit_image(image, steps)
    assert np.array_equal(fitted, adjust_contrast(grey, "Contrast Stretching"))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (32, 48), (7, 1000)])
def test_any_photo_fits_any_mode(mode: ResizeMode, size: tuple[int, int]) -> None:
    fitted, placement = fit_image(noise(*size), recipe(mode))
    labels = fit_label_map(np.ones(size, np.uint8), placement)
    assert fitted.shape == (32, 48, 3)
    assert labels.shape == (32, 48)
    assert (labels == 1).any()
    assert placement.seen.size.area >= 1


@pytest.mark.parametrize("mode", MODES)
def test_labels_lie_where_the_photo_lies(mode: ResizeMode) -> None:
    labels = np.zeros((60, 90), np.uint8)
    labels[20:41, 30:70] = 3
    photo = np.repeat((labels * 80)[..., None], 3, axis=2)
    framed = replace(recipe(mode), padding_value=0, static_crop=StaticCrop(10.0, 95.0, 5.0, 90.0))
    fitted, placement = fit_image(photo, framed)
    fitted_labels = fit_label_map(labels, placement)
    assert set(np.unique(fitted_labels)) <= {0, 3, IGNORE_ID}
    inside = fitted_labels != IGNORE_ID
    assert np.array_equal((fitted[..., 0] > 120) & inside, (fitted_labels == 3))
    assert inside.sum() == placement.seen.size.area


def test_nearest_takes_pixel_centres() -> None:
    placement = place(Size(4, 8), recipe("stretch", 2, 2))
    labels = np.arange(32, dtype=np.uint8).reshape(4, 8)
    # centres of the halves: columns 2 and 6 (of 2.0 and 6.0 half-up), rows 1 and 3
    assert fit_label_map(labels, placement).tolist() == [[10, 14], [26, 30]]


@pytest.mark.parametrize("mode", ["rgb", "bgr"])
def test_normalize(mode: str) -> None:
    image = noise(5, 6)
    steps = PreprocessRecipe(
        size=Size(5, 6),
        color_mode=mode,
        scaling_factor=127.5,
        mean=(0.1, 0.2, 0.3),
        std=(0.4, 0.5, 0.6),
    )
    ordered = image if mode == "rgb" else image[..., ::-1]
    expected = (ordered / 127.5 - steps.mean) / steps.std
    result = normalize(image, steps)
    assert result.dtype == np.float32
    assert result.flags.c_contiguous
    assert np.allclose(result, expected.transpose(2, 0, 1), atol=1e-5)


def test_normalize_rounds_as_ever() -> None:
    """Bit for bit: networks were trained on these numbers."""
    image = noise(31, 47)
    steps = PreprocessRecipe(size=Size(31, 47), mean=(0.485, 0.456, 0.406), std=(0.2, 0.3, 0.225))
    for plane, channel, mean, std in zip(
        normalize(image, steps), (0, 1, 2), steps.mean, steps.std, strict=True
    ):
        factor = np.float32(1 / (steps.scaling_factor * std))
        expected = image[..., channel] * factor - np.float32(mean / std)
        assert np.array_equal(plane, expected)


def test_preprocess_joins_both() -> None:
    image = noise(20, 30)
    batch, placement = preprocess(image, recipe("letterbox"))
    fitted, expected = fit_image(image, recipe("letterbox"))
    assert batch.shape == (1, 3, 32, 48)
    assert np.array_equal(batch[0], normalize(fitted, recipe("letterbox")))
    assert placement == expected
