"""What is measured: models, photos, and which of their pairs were asked for."""

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from atrous.domain.geometry import Size

Weights = Literal["random", "trained", "int8"]

BACKBONES = ("mobilenetv2_100", "resnet50", "tf_efficientnet_lite0")
CLASS_COUNTS = (2, 21, 150)
PHOTO_SIZES = (
    Size(height=480, width=640),
    Size(height=821, width=1232),
    Size(height=3000, width=4000),
)
REFERENCE_PHOTO = Size(height=821, width=1232)  # the targets are for this photo and class count
REFERENCE_CLASSES = 21
INPUT_SIZE = Size(height=512, width=512)
QUICK = "mobilenetv2_100-21-1232x821"


@dataclass(frozen=True)
class Model:
    """A package to measure."""

    name: str  # as "resnet50-21"
    backbone: str
    classes: int
    weights: Weights
    package: Path
    peer_package: Path  # the same, except that an int8 package is compared with its fp32 network


@dataclass(frozen=True)
class Case:
    """One model on one photo."""

    model: Model
    photo: Size

    @property
    def name(self) -> str:
        """As "resnet50-21-1232x821"."""
        return f"{self.model.name}-{photo_name(self.photo)}"

    @property
    def is_reference(self) -> bool:
        """Whether load and targets are measured on it; packages given by hand always are."""
        return self.photo == REFERENCE_PHOTO and (
            self.model.classes == REFERENCE_CLASSES or self.model.weights != "random"
        )


def photo_name(size: Size) -> str:
    """Width first, as people say it.

    >>> photo_name(Size(height=480, width=640))
    '640x480'
    """
    return f"{size.width}x{size.height}"


def random_model(backbone: str, classes: int, packages: Path) -> Model:
    """Name a model of random weights, whose package may still have to be made."""
    name = f"{backbone}-{classes}"
    return Model(name, backbone, classes, "random", packages / name, packages / name)


def all_cases(models: Sequence[Model], photos: Sequence[Size] = PHOTO_SIZES) -> list[Case]:
    """Every model on every photo, small photos first: peaks of memory only grow."""
    return [Case(model, photo) for model in models for photo in photos]


def chosen(cases: Sequence[Case], pattern: str | None) -> list[Case]:
    """The cases whose name holds `pattern` (`*` and `?` are wildcards); all without one."""
    if pattern is None:
        return list(cases)
    return [case for case in cases if fnmatch.fnmatchcase(case.name, f"*{pattern}*")]
