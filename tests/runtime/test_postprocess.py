"""`restore` against the same steps written out plainly in PyTorch, in double precision."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from atrous.domain.errors import BadPackage
from atrous.domain.geometry import Size
from atrous.domain.recipes import PreprocessRecipe, StaticCrop
from atrous.images.preprocess import Placement, place
from atrous.runtime.postprocess import restore

NETWORK = Size(64, 96)
STRETCH = PreprocessRecipe(size=NETWORK)
CROP = StaticCrop(10.0, 80.0, 25.0, 90.0)
CORNER_CROP = StaticCrop(0.0, 60.0, 0.0, 70.0)


def random_logits(channels: int, height: int = 64, width: int = 96) -> np.ndarray:
    return (np.random.default_rng(5).standard_normal((channels, height, width)) * 3).astype(
        np.float32
    )


def reference(
    logits: np.ndarray, placement: Placement, background: int, threshold: float, classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """The steps for stretch and letterbox: cut, resize, softmax, arg-max, paste, threshold."""
    _, height, width = logits.shape
    content, network = placement.content, placement.network
    top = round(height / network.height * content.top)
    bottom = height - round(height / network.height * (network.height - content.bottom))
    left = round(width / network.width * content.left)
    right = width - round(width / network.width * (network.width - content.right))
    cut = torch.from_numpy(logits[:, top:bottom, left:right].astype(np.float64))
    crop = placement.crop
    full = functional.interpolate(
        cut[None], (crop.size.height, crop.size.width), mode="bilinear", antialias=True
    )[0]
    if len(full) == 1:
        confidence, ids = full[0].sigmoid(), torch.zeros_like(full[0], dtype=torch.long)
    else:
        confidence, ids = full.softmax(0).max(0)
    if len(full) < classes:
        others = torch.tensor([index for index in range(classes) if index != background])
        ids = others[ids]
    label_map = np.full((placement.photo.height, placement.photo.width), background)
    whole = np.zeros(label_map.shape)
    label_map[crop.top : crop.bottom, crop.left : crop.right] = ids.numpy()
    whole[crop.top : crop.bottom, crop.left : crop.right] = confidence.numpy()
    below = whole < threshold
    label_map[below], whole[below] = background, 0
    return label_map, whole


def assert_same(logits: np.ndarray, placement: Placement, **settings: float) -> None:
    background = int(settings.get("background", 0))
    classes, threshold = int(settings["classes"]), float(settings.get("threshold", 0))
    prediction = restore(
        logits, placement, background_id=background, threshold=threshold, class_count=classes
    )
    label_map, confidence = reference(logits, placement, background, threshold, classes)
    # Two classes may be equally likely, and a probability may lie on the threshold.
    clear = np.abs(confidence - prediction.confidence) < 1e-4
    assert (~clear).sum() <= 2
    assert (label_map != prediction.label_map).sum() <= 2
    assert prediction.label_map.shape == (placement.photo.height, placement.photo.width)


@pytest.mark.parametrize("photo", [Size(64, 96), Size(131, 77), Size(300, 500), Size(20, 31)])
@pytest.mark.parametrize("mode", ["stretch", "letterbox", "fit-longer-edge"])
@pytest.mark.parametrize("crop", [None, CROP, CORNER_CROP])
def test_geometry(photo: Size, mode: str, crop: StaticCrop | None) -> None:
    placement = place(photo, replace(STRETCH, resize_mode=mode, static_crop=crop))
    assert_same(random_logits(4), placement, classes=4)


@pytest.mark.parametrize("shape", [(16, 24), (8, 12), (32, 24), (128, 192), (13, 17)])
@pytest.mark.parametrize("mode", ["stretch", "letterbox"])
def test_logits_of_another_resolution_than_the_input(shape: tuple[int, int], mode: str) -> None:
    placement = place(Size(150, 90), replace(STRETCH, resize_mode=mode))
    assert_same(random_logits(3, *shape), placement, classes=3)


@pytest.mark.parametrize(
    ("channels", "classes", "background"),
    [(4, 4, 0), (4, 4, 2), (3, 4, 0), (3, 4, 1), (3, 4, 3), (1, 2, 0), (1, 2, 1), (1, 5, 0)],
)
def test_channels_become_class_ids(channels: int, classes: int, background: int) -> None:
    placement = place(Size(100, 120), replace(STRETCH, static_crop=CROP))
    assert_same(random_logits(channels), placement, classes=classes, background=background)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.6, 0.999, 1.0])
@pytest.mark.parametrize("crop", [None, CROP])
def test_threshold(threshold: float, crop: StaticCrop | None) -> None:
    placement = place(Size(100, 120), replace(STRETCH, static_crop=crop))
    assert_same(random_logits(4), placement, classes=4, background=2, threshold=threshold)


def test_threshold_holds_for_background_and_is_exclusive() -> None:
    placement = place(Size(1, 2), PreprocessRecipe(size=Size(1, 2)))
    logits = np.array([[[1.0, 0.0]], [[0.0, 0.0]]], np.float32)
    half = restore(logits, placement, background_id=0, threshold=0.5, class_count=2)
    assert half.label_map.tolist() == [[0, 0]]
    assert half.confidence[0, 1] == 0.5
    above = restore(logits, placement, background_id=1, threshold=0.6, class_count=2)
    assert above.label_map.tolist() == [[0, 1]]
    assert above.confidence[0, 1] == 0


def test_first_of_equally_likely_classes_wins() -> None:
    placement = place(Size(4, 4), PreprocessRecipe(size=Size(4, 4)))
    prediction = restore(np.zeros((3, 4, 4), np.float32), placement, background_id=2, class_count=3)
    assert (prediction.label_map == 0).all()
    assert np.allclose(prediction.confidence, 1 / 3)


@pytest.mark.parametrize("photo", [Size(100, 200), Size(40, 50), Size(40, 200), Size(101, 51)])
@pytest.mark.parametrize("crop", [None, CROP])
def test_center_crop_pads_the_logits_back(photo: Size, crop: StaticCrop | None) -> None:
    placement = place(photo, replace(STRETCH, resize_mode="center-crop", static_crop=crop))
    logits = random_logits(4)
    box, content = placement.crop, placement.content
    padded = np.zeros((4, box.size.height, box.size.width), np.float32)  # uniform: all the same
    for row in range(box.size.height):
        for column in range(box.size.width):
            y, x = row + content.top, column + content.left
            if 0 <= y < NETWORK.height and 0 <= x < NETWORK.width:
                padded[:, row, column] = logits[:, y, x]
    confidence, ids = torch.from_numpy(padded).softmax(0).max(0)
    prediction = restore(logits, placement, background_id=0, class_count=4)
    part = (slice(box.top, box.bottom), slice(box.left, box.right))
    assert np.array_equal(prediction.label_map[part], ids.numpy())
    assert np.allclose(prediction.confidence[part], confidence.numpy(), atol=1e-6)
    outside = np.ones(prediction.label_map.shape, bool)
    outside[part] = False
    assert not prediction.confidence[outside].any()


@pytest.mark.parametrize("photo", [Size(131, 77), Size(300, 500), Size(20, 31)])
@pytest.mark.parametrize("mode", ["stretch", "letterbox"])
@pytest.mark.parametrize("crop", [None, CORNER_CROP])
def test_the_last_enlargement_may_be_left_to_restore(
    photo: Size, mode: str, crop: StaticCrop | None
) -> None:
    placement = place(photo, replace(STRETCH, resize_mode=mode, static_crop=crop))
    coarse = random_logits(4, 16, 24)
    whole = torch.from_numpy(coarse.astype(np.float64))[None]
    enlarged = functional.interpolate(whole, (64, 96), mode="bilinear", align_corners=False)
    expected_map, expected_confidence = reference(enlarged[0].numpy(), placement, 0, 0.4, 4)
    prediction = restore(
        coarse, placement, background_id=0, threshold=0.4, class_count=4, enlarged=NETWORK
    )
    clear = np.abs(expected_confidence - prediction.confidence) < 1e-4
    assert (~clear).sum() <= 2
    assert (expected_map != prediction.label_map).sum() <= 2


@pytest.mark.parametrize("photo", [Size(1, 1), Size(1, 700), Size(700, 1)])
@pytest.mark.parametrize("mode", ["stretch", "letterbox", "center-crop"])
def test_extreme_photos(photo: Size, mode: str) -> None:
    placement = place(photo, replace(STRETCH, resize_mode=mode))
    prediction = restore(random_logits(3, 4, 6), placement, background_id=0, class_count=3)
    assert prediction.label_map.shape == (photo.height, photo.width)
    assert (prediction.confidence >= 1 / 3 - 1e-6).all()


def test_large_logits_stay_finite() -> None:
    placement = place(Size(50, 60), STRETCH)
    prediction = restore(random_logits(3) * 1e4, placement, background_id=0, class_count=3)
    assert np.isfinite(prediction.confidence).all()
    assert prediction.confidence.max() <= 1


@pytest.mark.parametrize("channels", [2, 5, 7])
def test_misfit_of_channels_and_names(channels: int) -> None:
    with pytest.raises(BadPackage, match=f"{channels} channels"):
        restore(random_logits(channels), place(Size(9, 9), STRETCH), background_id=0, class_count=4)


def test_each_class_may_have_its_own_threshold() -> None:
    """Where all are equal the answer is that of the one number; else class by class."""
    logits, placement = random_logits(4), place(Size(150, 200), STRETCH)
    settings = {"background_id": 1, "class_count": 4}
    plain = restore(logits, placement, **settings)
    thresholds = (0.2, 0.9, 0.75, 0.999)
    found = restore(logits, placement, threshold=thresholds, **settings)
    below = plain.confidence < np.array(thresholds, np.float32)[plain.label_map]
    assert 0.2 < below.mean() < 0.9
    np.testing.assert_array_equal(found.label_map, np.where(below, 1, plain.label_map))
    np.testing.assert_array_equal(found.confidence, np.where(below, 0, plain.confidence))
    one = restore(logits, placement, threshold=0.6, **settings)
    same = restore(logits, placement, threshold=(0.6,) * 4, **settings)
    np.testing.assert_array_equal(one.label_map, same.label_map)
    np.testing.assert_array_equal(one.confidence, same.confidence)
