import json
from typing import Any

import pytest

from atrous.domain.errors import BadPackage
from atrous.domain.geometry import Size
from atrous.domain.recipes import PreprocessRecipe, StaticCrop
from atrous.packages.legacy import recipe_from_environment


def steps(resize_format: str = "Stretch to") -> dict[str, Any]:
    return {
        "auto-orient": {"enabled": True},
        "resize": {"enabled": True, "width": 512, "height": 384, "format": resize_format},
    }


@pytest.mark.parametrize("as_text", [True, False])
def test_preprocessing_is_an_object_or_json_text(as_text: bool) -> None:
    value = json.dumps(steps()) if as_text else steps()
    recipe = recipe_from_environment({"PREPROCESSING": value, "COLORS": {"cat": "#FF0000"}})
    assert recipe == PreprocessRecipe(size=Size(384, 512))


@pytest.mark.parametrize(
    ("resize_format", "mode", "padding"),
    [
        ("Stretch to", "stretch", 0),
        ("Fit (black edges) in", "letterbox", 0),
        ("Fit (white edges) in", "letterbox", 255),
        ("Fit (grey edges) in", "letterbox", 114),
        ("Fit (reflect edges) in", "letterbox", 0),
        ("Fit within", "letterbox", 0),
        ("Fill (with center crop) in", "letterbox", 0),
        ("Something new", "stretch", 0),
    ],
)
def test_resize_formats(resize_format: str, mode: str, padding: int) -> None:
    recipe = recipe_from_environment({"PREPROCESSING": steps(resize_format)})
    assert (recipe.resize_mode, recipe.padding_value) == (mode, padding)


def test_steps() -> None:
    values = steps() | {
        "static-crop": {"enabled": True, "x_min": 5, "x_max": 95, "y_min": 10, "y_max": 90},
        "contrast": {"enabled": True, "type": "Adaptive Equalization"},
        "grayscale": {"enabled": True},
    }
    recipe = recipe_from_environment({"PREPROCESSING": values})
    assert recipe.static_crop == StaticCrop(5.0, 95.0, 10.0, 90.0)
    assert recipe.contrast == "Adaptive Equalization"
    assert recipe.grayscale


@pytest.mark.parametrize("resize", [None, {"enabled": False, "width": 9, "height": 9}])
def test_default_size(resize: dict[str, Any] | None) -> None:
    recipe = recipe_from_environment({"PREPROCESSING": {"resize": resize}})
    assert recipe.size == Size(640, 640)


@pytest.mark.parametrize(
    "value", [None, "{", "[]", 7, {"resize": {"width": "wide"}}, {"resize": 3}, {"grayscale": "x"}]
)
def test_bad_preprocessing(value: object) -> None:
    with pytest.raises(BadPackage, match="environment.json is not understood"):
        recipe_from_environment({"PREPROCESSING": value})
