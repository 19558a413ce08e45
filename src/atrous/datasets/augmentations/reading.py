"""An augmentation as the platform's clients write it."""

import json
from collections.abc import Mapping
from typing import Any

from atrous.datasets.augmentations.augmentation import Augmentation
from atrous.datasets.augmentations.blur import Blur, MotionBlur
from atrous.datasets.augmentations.colour import (
    Brightness,
    Exposure,
    Hue,
    RandomGrayscale,
    Saturation,
)
from atrous.datasets.augmentations.erasing import Cutout
from atrous.datasets.augmentations.geometry import Crop, Flip, QuarterTurn, Rotate, Shear
from atrous.datasets.augmentations.noise import CameraGain, Noise
from atrous.datasets.step_values import Read, StepValues, wanted_steps
from atrous.domain.errors import BadInput

MAX_VERSIONS = 50
# Steps of boxes, of which a label map has none: taken, told of, and left out.
BOX_STEPS = tuple(
    f"bb{name}"
    for name in (
        "blur", "brightness", "crop", "exposure", "flip", "noise", "ninety", "rotate", "shear",
    )
)  # fmt: skip


def read_augmentation(steps: Mapping[str, Any]) -> tuple[Augmentation, list[str]]:
    """Read an augmentation, and what is to be told about it.

    Raises BadInput that names the key, its value and the range that is allowed.
    """
    known = (*GEOMETRY, *LOOK, *BOX_STEPS, "cutout", "image", "mosaic")
    wanted = wanted_steps("augmentation", steps, known)
    augmentation = Augmentation(
        versions=_read_versions(wanted["image"]) if "image" in wanted else 1,
        mosaic="mosaic" in wanted and wanted["mosaic"].only() is not None,
        geometry=tuple(read(wanted[name]) for name, read in GEOMETRY.items() if name in wanted),
        look=tuple(read(wanted[name]) for name, read in LOOK.items() if name in wanted),
        cutout=_read_cutout(wanted["cutout"]) if "cutout" in wanted else None,
    )
    told = [
        f"augmentation '{name}' changes what is inside boxes; labels of pixels have none: left out"
        for name in wanted
        if name in BOX_STEPS
    ]
    if augmentation.versions > augmentation.copies:
        told.append(
            f"augmentation 'image' asks for {augmentation.versions} pictures of each training "
            "picture, but no step would tell them apart: one is made"
        )
    return augmentation, told


def augmentation_from_text(text: str) -> tuple[Augmentation, list[str]]:
    """Read an augmentation from JSON, as a recipe has it, and what is to be told about it.

    None is read from an empty text.
    """
    if not text:
        return Augmentation(), []
    try:
        steps = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadInput(
            f"augmentation is no JSON: {error}; give an object as " + '{"rotate": {"degrees": 15}}'
        ) from error
    if not isinstance(steps, dict):
        raise BadInput(f"augmentation is {text[:100]}; give a JSON object of steps")
    augmentation, told = read_augmentation(steps)
    if augmentation.versions > 1:
        told.append(
            "augmentation 'image' is for versions of a data set; a training draws every step anew "
            "in each epoch: left out"
        )
    return augmentation, told


def _read_versions(values: StepValues) -> int:
    return values.only("versions").whole("versions", 1, MAX_VERSIONS)


def _read_cutout(values: StepValues) -> Cutout:
    values.only("count", "percent")
    return Cutout(count=values.whole("count", 1, 100), percent=values.number("percent", 0.0, 100.0))


def _read_flip(values: StepValues) -> Flip:
    values.only("horizontal", "vertical")
    flip = Flip(horizontal=values.flag("horizontal"), vertical=values.flag("vertical"))
    _need_one(values, "horizontal", "vertical")
    return flip


def _read_turn(values: StepValues) -> QuarterTurn:
    keys = ("clockwise", "counter-clockwise", "upside-down")
    values.only(*keys)
    turn = QuarterTurn(*(values.flag(key) for key in keys))
    _need_one(values, *keys)
    return turn


def _need_one(values: StepValues, *keys: str) -> None:
    if not any(values.options.get(key) for key in keys):
        raise values.refusal(keys[0], False, f"true for one or more of {', '.join(keys)}")


def _read_crop(values: StepValues) -> Crop:
    values.only("min", "max", "percent")  # `percent` is an older name of `max`
    most = values.number("max" if "max" in values.options else "percent", 0.0, 99.0)
    return Crop(min_percent=values.number("min", 0.0, most, 0.0), max_percent=most)


def _read_shear(values: StepValues) -> Shear:
    values.only("horizontal", "vertical")
    return Shear(
        values.number("horizontal", 0.0, 45.0, 0.0), values.number("vertical", 0.0, 45.0, 0.0)
    )


def _read_brightness(values: StepValues) -> Brightness:
    values.only("brighten", "darken", "percent")
    brighten, darken = values.flag("brighten", True), values.flag("darken", True)
    if not (brighten or darken):
        raise values.refusal("brighten", False, "true for one or more of brighten, darken")
    return Brightness(values.number("percent", 0.0, 99.0), brighten, darken)


def _read_motion(values: StepValues) -> MotionBlur:
    values.only("length", "angle", "frames")
    return MotionBlur(
        length=values.number("length", 1.0, 100.0),
        angle=values.number("angle", -360.0, 360.0, 0.0),
        frames=values.whole("frames", 2, 100, 10),
    )


def _one_number(make: Any, key: str, high: float) -> Read:
    """A step whose only option is a number from 0 on."""
    return lambda values: make(values.only(key).number(key, 0.0, high))


# In the order in which they are done.
GEOMETRY: dict[str, Read] = {
    "flip": _read_flip,
    "ninety": _read_turn,
    "crop": _read_crop,
    "rotate": _one_number(Rotate, "degrees", 180.0),
    "shear": _read_shear,
}
LOOK: dict[str, Read] = {
    "rgrayscale": _one_number(RandomGrayscale, "percent", 100.0),
    "hue": _one_number(Hue, "degrees", 180.0),
    "saturation": _one_number(Saturation, "percent", 99.0),
    "brightness": _read_brightness,
    "exposure": _one_number(Exposure, "percent", 99.0),
    "blur": _one_number(Blur, "pixels", 25.0),
    "motion-blur": _read_motion,
    "camera-gain": _one_number(CameraGain, "variance", 0.5),
    "noise": _one_number(Noise, "percent", 100.0),
}
