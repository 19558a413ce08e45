"""Everything that a version does to photos, as the platform's clients write it."""

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast, get_args

from atrous.datasets.augmentations.augmentation import Augmentation
from atrous.datasets.augmentations.reading import read_augmentation
from atrous.datasets.preparation import Fit, Preparation, Resize
from atrous.datasets.regions import MAX_REGIONS
from atrous.datasets.step_values import Read, StepValues, wanted_steps
from atrous.domain.classes import IGNORED
from atrous.domain.errors import BadInput
from atrous.domain.geometry import Size
from atrous.domain.recipes import ContrastMode, StaticCrop

MAX_SIDE = 8192
MAX_TILES = 20  # per side
MAX_TAGS = 100  # as many as a photo can have
MAX_CLASS_NAME = 200
OFF_THE_LINE = ("Cc", "Cs", "Zl", "Zp")  # kinds of characters: control, half ones, ends of lines


@dataclass(frozen=True)
class VersionSteps:
    """Preprocessing of all pictures, and augmentation of those for training."""

    preparation: Preparation = Preparation()
    augmentation: Augmentation = Augmentation()
    told: tuple[str, ...] = ()  # what the asker should know: steps that do nothing here

    @property
    def most_pictures(self) -> int:
        """How many pictures one photo can become."""
        rows, columns = self.preparation.tiles or (1, 1)
        regions = MAX_REGIONS if self.preparation.isolate else 1
        return rows * columns * regions * self.augmentation.copies


def read_version_steps(
    preprocessing: Mapping[str, Any], augmentation: Mapping[str, Any]
) -> VersionSteps:
    """Read the steps; BadInput names the key, its value and what is allowed."""
    changes, told = read_augmentation(augmentation)
    return VersionSteps(read_preparation(preprocessing), changes, tuple(told))


def read_preparation(preprocessing: Mapping[str, Any]) -> Preparation:
    """Read the preprocessing alone."""
    fields: dict[str, Any] = {}
    for name, values in wanted_steps("preprocessing", preprocessing, list(READERS)).items():
        fields.update(READERS[name](values))
    return Preparation(**fields)


def steps_in_words(
    preprocessing: Mapping[str, Any], augmentation: Mapping[str, Any]
) -> tuple[str, ...]:
    """The steps that are switched on, as they were asked for, in a line each."""
    lines = []
    for kind, steps in (("preprocessing", preprocessing), ("augmentation", augmentation)):
        for name, values in wanted_steps(kind, steps, list(steps)).items():
            options = {key: value for key, value in values.options.items() if key != "enabled"}
            said = f": {json.dumps(options, ensure_ascii=False)}" if options else ""
            lines.append(f"{kind} {name}{said}")
    return tuple(lines)


def _switch(field: str) -> Read:
    """A step without options."""

    def read(values: StepValues) -> dict[str, Any]:
        values.only()
        return {field: True}

    return read


def _read_resize(values: StepValues) -> dict[str, Any]:
    values.only("width", "height", "format")
    size = Size(
        height=values.whole("height", 1, MAX_SIDE), width=values.whole("width", 1, MAX_SIDE)
    )
    fit = values.choice("format", get_args(Fit), "Stretch to")
    return {"resize": Resize(size, cast(Fit, fit))}


def _read_crop(values: StepValues) -> dict[str, Any]:
    values.only("x_min", "x_max", "y_min", "y_max")
    crop = StaticCrop(
        **{key: values.number(key, 0.0, 100.0) for key in ("x_min", "x_max", "y_min", "y_max")}
    )
    for axis, low, high in (("x", crop.x_min, crop.x_max), ("y", crop.y_min, crop.y_max)):
        if low >= high:
            raise values.refusal(f"{axis}_min", low, f"less than '{axis}_max', which is {high:g}")
    return {"static_crop": crop}


def _read_tiles(values: StepValues) -> dict[str, Any]:
    values.only("rows", "columns")
    return {"tiles": tuple(values.whole(key, 1, MAX_TILES) for key in ("rows", "columns"))}


def _read_contrast(values: StepValues) -> dict[str, Any]:
    values.only("type")
    return {"contrast": values.choice("type", get_args(ContrastMode))}


def _read_remap(values: StepValues) -> dict[str, Any]:
    pairs = []
    for old, new in values.options.items():
        if old == "enabled" and isinstance(new, bool):
            continue
        if new is None or new is False or new == "":
            pairs.append((old, ""))
        elif isinstance(new, str) and _is_class_name(new.strip()):
            pairs.append((old, new.strip()))
        else:
            expected = f"the new name, 1 to {MAX_CLASS_NAME} characters on one line, not {IGNORED}"
            raise values.refusal(old, new, f"{expected}, or null to drop the class")
    return {"remap": tuple(pairs)}


def _is_class_name(text: str) -> bool:
    """Whether a text is a name that a line of a list of classes can hold."""
    on_a_line = all(unicodedata.category(letter) not in OFF_THE_LINE for letter in text)
    return 0 < len(text) <= MAX_CLASS_NAME and on_a_line and text != IGNORED


def _read_percent(values: StepValues) -> dict[str, Any]:
    return {"labelled_percent": values.only("percent").number("percent", 0.0, 100.0)}


def _read_tags(values: StepValues) -> dict[str, Any]:
    values.only("require", "exclude")
    required, excluded = values.texts("require"), values.texts("exclude")
    for key, tags in (("require", required), ("exclude", excluded)):
        if len(tags) > MAX_TAGS:
            raise values.refusal(key, f"{len(tags)} tags", f"at most {MAX_TAGS}")
    both = sorted({*required} & {*excluded})
    if both:
        raise BadInput(f"{values.step} both requires and excludes the tag {both[0]!r}; take one")
    return {"required_tags": required, "excluded_tags": excluded}


READERS: dict[str, Read] = {
    "auto-orient": _switch("auto_orient"),
    "static-crop": _read_crop,
    "isolate": _switch("isolate"),
    "tile": _read_tiles,
    "grayscale": _switch("grayscale"),
    "contrast": _read_contrast,
    "resize": _read_resize,
    "remap": _read_remap,
    "filter-null": _read_percent,
    "filter-tag": _read_tags,
}
