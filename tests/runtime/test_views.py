from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from atrous.domain.errors import BadInput
from atrous.domain.geometry import Size
from atrous.domain.recipes import PreprocessRecipe, ResizeMode, StaticCrop
from atrous.domain.views import Views
from atrous.images.preprocess import preprocess
from atrous.packages.directory import ModelPackage
from atrous.runtime import views as views_module
from atrous.runtime.postprocess import restore
from atrous.runtime.segmenter import Segmenter
from atrous.runtime.views import Look, predict_views

NETWORK = Size(32, 48)
PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
SETTINGS = {"background_id": 0, "class_count": 3}


class Colours:
    """A network that looks at each pixel alone, and remembers what it was shown."""

    def __init__(self, channels: int = 3, enlarged: bool = False) -> None:
        self.channels, self.enlarged = channels, enlarged
        self.seen: list[tuple[int, ...]] = []

    def __call__(self, image: np.ndarray, recipe: PreprocessRecipe) -> Look:
        self.seen.append(image.shape[:2])
        [planes], placement = preprocess(image, recipe)
        planes = planes[:, ::4, ::4] if self.enlarged else planes
        logits = np.stack([np.full_like(planes[0], 0.5), planes[0] * 6, planes[1] * 6])
        return Look(logits[-self.channels :], placement, recipe.size if self.enlarged else None)


def recipe_of(mode: ResizeMode = "stretch", **fields: object) -> PreprocessRecipe:
    return PreprocessRecipe(size=NETWORK, resize_mode=mode, **PLAIN, **fields)


def photo(height: int, width: int) -> np.ndarray:
    """Smooth colours, so that resizing changes little."""
    rows, columns = np.mgrid[:height, :width] / max(height, width)
    waves = [np.sin(9 * rows + 2), np.cos(11 * columns), np.zeros_like(rows)]
    return np.stack([(wave * 127 + 128).astype(np.uint8) for wave in waves], axis=2)


def plain(see: Colours, image: np.ndarray, recipe: PreprocessRecipe) -> tuple[np.ndarray, ...]:
    look = see(image, recipe)
    found = restore(look.logits, look.placement, enlarged=look.enlarged, **SETTINGS)
    return found.label_map, found.confidence


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("enlarged", [False, True])
@pytest.mark.parametrize("mode", ["stretch", "letterbox"])
def test_one_window_as_large_as_the_photo_is_the_plain_answer(
    mode: ResizeMode, enlarged: bool, channels: int
) -> None:
    see, image = Colours(channels, enlarged), photo(70, 90)
    recipe = recipe_of(mode, static_crop=StaticCrop(10.0, 90.0, 0.0, 70.0))
    label_map, confidence = plain(see, image, recipe)
    found = predict_views(see, image, recipe, Views(window=4000), **SETTINGS)
    np.testing.assert_allclose(found.confidence, confidence, atol=2e-5)
    assert (found.label_map != label_map).mean() < 1e-3
    assert (found.label_map[60:] == 0).all()  # out of the crop


@pytest.mark.parametrize("mode", ["stretch", "letterbox", "center-crop"])
def test_windows_see_what_the_photo_holds(mode: ResizeMode) -> None:
    """A network of single pixels at full scale: windows change nothing but the resizing."""
    see, image = Colours(), photo(150, 171)
    found = predict_views(see, image, recipe_of(mode), Views(window=48), **SETTINGS)
    truth = np.stack(
        [np.full(image.shape[:2], 0.5), *(image[..., :2] / 255 * 6).transpose(2, 0, 1)]
    )
    assert (found.label_map == truth.argmax(axis=0)).mean() > 0.99
    assert found.confidence.shape == (150, 171)
    assert set(see.seen) == {(32, 48)}
    assert len(see.seen) == 6 * 5  # a quarter of each overlaps with the next


def test_scales_and_mirroring_are_looks_of_their_own() -> None:
    see, image = Colours(), photo(64, 96)
    views = Views(scales=(0.5, 1.0, 2.0), flip=True)
    found = predict_views(see, image, recipe_of(), views, **SETTINGS)
    assert see.seen.count((128, 192)) == see.seen.count((64, 96)) == 2
    assert see.seen.count((32, 48)) == 2 * 9
    label_map, _ = plain(see, image, recipe_of())
    assert (found.label_map == label_map).mean() > 0.97


def test_the_blend_is_the_mean_of_probabilities() -> None:
    """Left says red, its mirror image says red on the other side: both are equally likely."""
    image = np.zeros((32, 48, 3), np.uint8)
    image[..., :2] = 255

    def see(picture: np.ndarray, recipe: PreprocessRecipe) -> Look:
        _, placement = preprocess(picture, recipe)
        logits = np.zeros((3, 32, 48), np.float32)
        logits[1, :, :24] = 10
        logits[2, :, 24:] = 10
        return Look(logits, placement, None)

    found = predict_views(see, image, recipe_of(), Views(flip=True), **SETTINGS)
    np.testing.assert_allclose(found.confidence, 0.5, atol=1e-3)
    limited = predict_views(
        see, image, recipe_of(), Views(flip=True), threshold=(0.0, 0.6, 0.6), **SETTINGS
    )
    assert (limited.label_map == 0).all()


@pytest.mark.parametrize("cell", [2, 4])
def test_a_large_photo_is_blended_on_a_coarser_canvas(
    monkeypatch: pytest.MonkeyPatch, cell: int
) -> None:
    see, image = Colours(), photo(131, 157)
    fine = predict_views(see, image, recipe_of(), Views(window=64), **SETTINGS)
    needed = 131 * 157 * 3 * 4 / cell**2
    monkeypatch.setattr(views_module, "CANVAS_BYTES", int(needed) + 1)
    coarse = predict_views(see, image, recipe_of(), Views(window=64), **SETTINGS)
    assert coarse.label_map.shape == fine.label_map.shape
    assert (coarse.label_map == fine.label_map).mean() > 0.97
    monkeypatch.setattr(views_module, "CANVAS_BYTES", 100)
    with pytest.raises(BadInput, match="make the photo smaller"):
        predict_views(see, image, recipe_of(), Views(window=64), **SETTINGS)


def test_a_package_may_ask_for_windows(make_package: Callable[..., ModelPackage]) -> None:
    """The loaded model then does by itself what a caller may ask for."""
    package = make_package()
    asking = replace(package, views=Views(window=48))
    image = photo(100, 140)
    plain_model, windowed = Segmenter(package), Segmenter(asking)
    try:
        wanted = plain_model.predict(image, views=Views(window=48))
        found = windowed.predict(image)
        np.testing.assert_array_equal(found.label_map, wanted.label_map)
        assert (found.label_map != plain_model.predict(image).label_map).any()
        same = windowed.predict(image, views=Views()).label_map
        np.testing.assert_array_equal(same, plain_model.predict(image).label_map)
    finally:
        plain_model.close()
        windowed.close()
