"""`environment.json`: preprocessing in the layout of the older engine, read only."""

import json
from typing import Any

from atrous.domain.errors import BadPackage
from atrous.domain.geometry import Size
from atrous.domain.recipes import PreprocessRecipe, ResizeMode
from atrous.packages.inference_config import read_contrast, read_side, read_static_crop

FILE_NAME = "environment.json"
DEFAULT_SIDE = 640  # of the network's input, in pixels, where nothing says it

# Resize format -> mode and grey level of the padding.
RESIZE_FORMATS: dict[str, tuple[ResizeMode, int]] = {
    "Stretch to": ("stretch", 0),
    "Fit (black edges) in": ("letterbox", 0),
    "Fit (white edges) in": ("letterbox", 255),
    "Fit (grey edges) in": ("letterbox", 114),
    # These three fall back to black edges in that engine.
    "Fit (reflect edges) in": ("letterbox", 0),
    "Fit within": ("letterbox", 0),
    "Fill (with center crop) in": ("letterbox", 0),
}


def recipe_from_environment(environment: dict[str, Any]) -> PreprocessRecipe:
    """The recipe of an older package: RGB, /255, ImageNet mean and standard deviation.

    The size is that of `resize`, or 640 x 640; a network whose input is fixed has the last word
    when it is loaded. Raises BadPackage where PREPROCESSING is missing or not understood.
    """
    steps = environment.get("PREPROCESSING")
    try:
        if isinstance(steps, str):
            steps = json.loads(steps)
        if not isinstance(steps, dict):
            raise ValueError("there is no object PREPROCESSING")
        resize = steps.get("resize") or {}
        if not resize.get("enabled", True):
            resize = {}
        mode, padding = RESIZE_FORMATS.get(resize.get("format", ""), ("stretch", 0))
        grayscale = steps.get("grayscale") or {}
        return PreprocessRecipe(
            size=Size(
                height=read_side(resize.get("height", DEFAULT_SIDE)),
                width=read_side(resize.get("width", DEFAULT_SIDE)),
            ),
            resize_mode=mode,
            padding_value=padding,
            grayscale=bool(grayscale.get("enabled")),
            contrast=read_contrast(steps.get("contrast")),
            static_crop=read_static_crop(steps.get("static-crop")),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadPackage(
            f"{FILE_NAME} is not understood ({type(error).__name__}: {error}); it needs "
            'PREPROCESSING, as {"resize": {"width": 512, "height": 512, "format": "Stretch to"}}'
        ) from error
