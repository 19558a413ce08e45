"""`inference_config.json`: a preprocessing recipe in the words of peers' packages."""

import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, get_args

from atrous.domain.errors import BadPackage
from atrous.domain.geometry import Size
from atrous.domain.recipes import ContrastMode, PreprocessRecipe, ResizeMode, StaticCrop

FILE_NAME = "inference_config.json"
MAX_SIDE = 16_384
MOST_PICTURES = 8  # of one run of a network, where requests are gathered for it


def config_from_recipe(recipe: PreprocessRecipe) -> dict[str, Any]:
    """The JSON values that peers and `recipe_from_config` read, of a network for any batch."""
    steps: dict[str, Any] = {"auto-orient": {"enabled": True}}
    if recipe.static_crop is not None:
        # Peers refuse fractions of a percent; whole ones may be written as 10.0.
        steps["static-crop"] = {"enabled": True, **asdict(recipe.static_crop)}
    if recipe.contrast is not None:
        steps["contrast"] = {"enabled": True, "type": recipe.contrast}
    if recipe.grayscale:
        steps["grayscale"] = {"enabled": True}
    return {
        "image_pre_processing": steps,
        "network_input": {
            "training_input_size": {"height": recipe.size.height, "width": recipe.size.width},
            "dynamic_spatial_size_supported": False,
            "color_mode": recipe.color_mode,
            "resize_mode": recipe.resize_mode,
            "padding_value": recipe.padding_value,
            "input_channels": 3,
            "scaling_factor": recipe.scaling_factor,
            "normalization": [list(recipe.mean), list(recipe.std)],
        },
        "forward_pass": {"max_dynamic_batch_size": MOST_PICTURES},
        "post_processing": {"type": "softmax", "fused": False},
    }


def recipe_from_config(config: dict[str, Any]) -> PreprocessRecipe:
    """Read an inference config; BadPackage names the field that is missing or not understood."""
    network = _mapping(config, "network_input")
    steps = config.get("image_pre_processing") or {}
    if network.get("input_channels", 3) != 3:
        raise BadPackage(
            f"{FILE_NAME} says input_channels {network['input_channels']}; "
            "only networks that take 3 channels can be served"
        )
    size = network.get("training_input_size") or network.get("dataset_version_resize_dimensions")
    if not isinstance(size, dict):
        raise BadPackage(
            f"{FILE_NAME} has no network_input.training_input_size; "
            'add it, as {"height": 512, "width": 512}'
        )
    mean, std = network.get("normalization") or ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    try:
        return PreprocessRecipe(
            size=Size(read_side(size["height"]), read_side(size["width"])),
            resize_mode=_one_of(network["resize_mode"], get_args(ResizeMode), "resize_mode"),
            padding_value=_grey(network.get("padding_value") or 0),
            grayscale=bool(steps.get("grayscale") and steps["grayscale"]["enabled"]),
            contrast=read_contrast(steps.get("contrast")),
            static_crop=read_static_crop(steps.get("static-crop")),
            color_mode=_one_of(network["color_mode"], ("rgb", "bgr"), "color_mode"),
            scaling_factor=_divisor(network.get("scaling_factor") or 1.0),
            mean=_three(mean),
            std=_three(std, _divisor),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadPackage(
            f"{FILE_NAME} is not understood ({type(error).__name__}: {error}); "
            "compare it with one that `atrous train` writes"
        ) from error


def read_static_crop(step: dict[str, Any] | None) -> StaticCrop | None:
    """The static crop of either layout, in percent; None where absent or not enabled."""
    if not step or not step.get("enabled"):
        return None
    crop = StaticCrop(
        x_min=float(step["x_min"]),
        x_max=float(step["x_max"]),
        y_min=float(step["y_min"]),
        y_max=float(step["y_max"]),
    )
    if not (0 <= crop.x_min < crop.x_max <= 100 and 0 <= crop.y_min < crop.y_max <= 100):
        raise BadPackage(
            f"the static crop {crop} leaves nothing or exceeds the picture; "
            "give percents with 0 <= min < max <= 100"
        )
    return crop


def read_contrast(step: dict[str, Any] | None) -> ContrastMode | None:
    """The contrast mode of either layout; None where absent or not enabled."""
    if not step or not step.get("enabled"):
        return None
    mode: ContrastMode = _one_of(step["type"], get_args(ContrastMode), "contrast type")
    return mode


def read_side(value: Any) -> int:
    """Height or width of a network's input, 1..16384 pixels; ValueError for anything else."""
    if not 1 <= int(value) <= MAX_SIDE:
        raise ValueError(f"a side of {value} pixels; expected 1 to {MAX_SIDE}")
    return int(value)


def _mapping(config: dict[str, Any], key: str) -> dict[str, Any]:
    value = config.get(key)
    if not isinstance(value, dict):
        raise BadPackage(f"{FILE_NAME} has no object '{key}'; it says how pictures are prepared")
    return value


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value} is no finite number")
    return number


def _divisor(value: Any) -> float:
    number = _number(value)
    if number <= 0:
        raise ValueError(f"pictures are divided by {value}, which must be greater than 0")
    return number


def _grey(value: Any) -> int:
    grey = int(value)
    if not 0 <= grey <= 255:
        raise ValueError(f"padding_value is {value}, expected 0 to 255")
    return grey


def _three(values: Any, read: Callable[[Any], float] = _number) -> tuple[float, float, float]:
    first, second, third = (read(value) for value in values)
    return first, second, third


def _one_of(value: Any, known: tuple[str, ...], field: str) -> Any:
    if value not in known:
        raise BadPackage(f"{field} {str(value)[:100]!r} is not known; known are {', '.join(known)}")
    return value
