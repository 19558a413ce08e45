import json
from dataclasses import replace
from typing import Any

import pytest

from atrous.domain.errors import BadPackage
from atrous.domain.geometry import Size
from atrous.domain.recipes import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    INCEPTION_MEAN,
    INCEPTION_STD,
    PreprocessRecipe,
    StaticCrop,
)
from atrous.packages.inference_config import config_from_recipe, recipe_from_config

PLAIN = PreprocessRecipe(size=Size(384, 512))
FULL = PreprocessRecipe(
    size=Size(384, 512),
    resize_mode="letterbox",
    padding_value=114,
    grayscale=True,
    contrast="Histogram Equalization",
    static_crop=StaticCrop(10.0, 90.0, 5.0, 100.0),
    color_mode="bgr",
    scaling_factor=127.5,
    mean=INCEPTION_MEAN,
    std=INCEPTION_STD,
)


def foreign() -> dict[str, Any]:
    """As a package of the peer's trainer has it."""
    return {
        "image_pre_processing": {
            "auto-orient": {"enabled": True},
            "static-crop": {"enabled": False, "x_min": 0, "x_max": 0, "y_min": 0, "y_max": 0},
            "contrast": {"enabled": True, "type": "Contrast Stretching"},
            "grayscale": {"enabled": False},
        },
        "network_input": {
            "training_input_size": {"height": 512, "width": 640},
            "dynamic_spatial_size_supported": True,
            "dynamic_spatial_size_mode": {"type": "pad-to-be-divisible", "value": 32},
            "color_mode": "rgb",
            "resize_mode": "fit-longer-edge",
            "padding_value": None,
            "input_channels": 3,
            "scaling_factor": 255,
            "normalization": [list(IMAGENET_MEAN), list(IMAGENET_STD)],
        },
        "forward_pass": {"static_batch_size": None, "max_dynamic_batch_size": 8},
        "post_processing": None,
        "model_initialization": None,
    }


@pytest.mark.parametrize("recipe", [PLAIN, FULL, replace(PLAIN, resize_mode="center-crop")])
def test_recipe_survives_the_file(recipe: PreprocessRecipe) -> None:
    assert recipe_from_config(json.loads(json.dumps(config_from_recipe(recipe)))) == recipe


def test_fields_have_the_names_that_peers_parse() -> None:
    config = config_from_recipe(FULL)
    assert config["image_pre_processing"] == {
        "auto-orient": {"enabled": True},
        "static-crop": {
            "enabled": True,
            "x_min": 10.0,
            "x_max": 90.0,
            "y_min": 5.0,
            "y_max": 100.0,
        },
        "contrast": {"enabled": True, "type": "Histogram Equalization"},
        "grayscale": {"enabled": True},
    }
    assert config["network_input"] == {
        "training_input_size": {"height": 384, "width": 512},
        "dynamic_spatial_size_supported": False,
        "color_mode": "bgr",
        "resize_mode": "letterbox",
        "padding_value": 114,
        "input_channels": 3,
        "scaling_factor": 127.5,
        "normalization": [[0.5, 0.5, 0.5], [0.5, 0.5, 0.5]],
    }
    assert config["forward_pass"] == {"max_dynamic_batch_size": 8}
    assert config["post_processing"] == {"type": "softmax", "fused": False}


def test_foreign_config() -> None:
    assert recipe_from_config(foreign()) == PreprocessRecipe(
        size=Size(512, 640), resize_mode="fit-longer-edge", contrast="Contrast Stretching"
    )


def test_what_a_foreign_config_may_leave_out() -> None:
    config = foreign()
    config["image_pre_processing"] = None
    config["network_input"] |= {"normalization": None, "scaling_factor": None}
    assert recipe_from_config(config) == PreprocessRecipe(
        size=Size(512, 640),
        resize_mode="fit-longer-edge",
        scaling_factor=1.0,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
    )


def test_dataset_size_stands_in_for_the_training_size() -> None:
    config = foreign()
    config["network_input"]["training_input_size"] = None
    config["network_input"]["dataset_version_resize_dimensions"] = {"height": 64, "width": 96}
    assert recipe_from_config(config).size == Size(64, 96)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("training_input_size", None, "training_input_size"),
        ("training_input_size", {"height": 5}, "width"),
        ("training_input_size", {"height": 0, "width": 5}, "1 to 16384"),
        ("training_input_size", {"height": 5, "width": 10**9}, "1 to 16384"),
        ("resize_mode", "squeeze", "squeeze.*letterbox"),
        ("color_mode", "hsv", "hsv.*rgb"),
        ("input_channels", 1, "3 channels"),
        ("normalization", [[0.1], [0.2]], "not understood"),
        ("scaling_factor", "much", "not understood"),
        ("scaling_factor", -255, "greater than 0"),
        ("scaling_factor", float("inf"), "finite"),
        ("normalization", [[0.1, 0.1, float("nan")], [1, 1, 1]], "finite"),
        ("normalization", [[0, 0, 0], [1, 0, 1]], "greater than 0"),
        ("padding_value", 300, "0 to 255"),
        ("padding_value", -1, "0 to 255"),
    ],
)
def test_bad_network_input(field: str, value: object, message: str) -> None:
    config = foreign()
    config["network_input"][field] = value
    with pytest.raises(BadPackage, match=message):
        recipe_from_config(config)


@pytest.mark.parametrize(
    ("step", "value", "message"),
    [
        ("contrast", {"enabled": True, "type": "Magic"}, "Magic.*Adaptive"),
        ("contrast", {"enabled": True}, "type"),
        ("contrast", "yes", "not understood"),
        (
            "static-crop",
            {"enabled": True, "x_min": 10, "x_max": 630, "y_min": 0, "y_max": 50},
            "percents",
        ),
        (
            "static-crop",
            {"enabled": True, "x_min": 60, "x_max": 50, "y_min": 0, "y_max": 50},
            "percents",
        ),
        ("static-crop", {"enabled": True}, "x_min"),
    ],
)
def test_bad_steps(step: str, value: object, message: str) -> None:
    config = foreign()
    config["image_pre_processing"][step] = value
    with pytest.raises(BadPackage, match=message):
        recipe_from_config(config)


def test_empty_config_says_what_is_missing() -> None:
    with pytest.raises(BadPackage, match="network_input"):
        recipe_from_config({})
