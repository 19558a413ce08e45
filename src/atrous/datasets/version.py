"""A data set as it was found: classes, and samples by split, each a photo and its label."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from atrous.domain.classes import ClassTable
from atrous.domain.geometry import Size
from atrous.images.decode import image_size, read_image

SPLITS = ("train", "valid", "test")
SPLIT_SPELLINGS = {"train": ("train",), "valid": ("valid", "val", "validation"), "test": ("test",)}
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif"})

Format = Literal["png-mask-semantic", "coco", "yolo-seg", "voc", "labelme", "cvat", "folders"]
FaultKind = Literal[
    "missing partner",
    "size mismatch",
    "id outside the class list",
    "undecodable image",
    "undecodable label",
    "image in two splits",
    "empty split",
    "name given twice",
    "annotation of an unknown image",
]


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a data set."""

    split: str
    file: str  # path below the data set's root
    kind: FaultKind
    message: str
    sample: str | None = None  # the sample that training has to leave out, if there is one


@runtime_checkable
class LabelSource(Protocol):
    """Where the label map of one photo comes from."""

    def read(self, size: Size) -> UInt8[np.ndarray, "height width"]:
        """The label map in model ids, 255 where ignored, for a photo of this size.

        Raises BadDataset when the label was made for another size, BadImage when undecodable.
        """
        ...

    def unknown_ids(self, size: Size) -> dict[int, int]:
        """Pixels per raw id that is outside the class list; `read` gives 255 there."""
        ...

    def paths(self) -> tuple[Path, ...]:
        """The files that the label is read from."""
        ...


@dataclass(frozen=True)
class Sample:
    """One photo and its label."""

    name: str  # unique in its split: the file's stem
    image: Path
    label: LabelSource

    def read_image(self) -> UInt8[np.ndarray, "height width 3"]:
        """The photo as RGB, EXIF orientation applied; raises BadImage."""
        return read_image(self.image)

    def read_label_map(self, size: Size | None = None) -> UInt8[np.ndarray, "height width"]:
        """Model ids per pixel, 255 where ignored. `size` is the photo's, read where not given."""
        return self.label.read(size or image_size(self.image))

    def read(
        self,
    ) -> tuple[UInt8[np.ndarray, "height width 3"], UInt8[np.ndarray, "height width"]]:
        """Photo and label map, of one size."""
        image = self.read_image()
        return image, self.label.read(Size(*image.shape[:2]))


@dataclass(frozen=True)
class Dataset:
    """Samples by split; nothing of it is read before it is asked for."""

    root: Path
    format: Format
    classes: ClassTable
    splits: Mapping[str, tuple[Sample, ...]]  # keys among SPLITS, or `all` alone
    notes: tuple[str, ...] = ()  # decisions made while opening it
    faults: tuple[Fault, ...] = ()  # found while opening it, before any pixel was read
    valid_is_drawn: bool = False  # held out from train, where the files have no such split

    def without(self, names: Collection[tuple[str, str]]) -> "Dataset":
        """The data set less these (split, sample name) pairs and less the faults of opening.

        A split of which nothing is left is dropped.
        """
        left_out = set(names)
        kept = {
            split: tuple(sample for sample in samples if (split, sample.name) not in left_out)
            for split, samples in self.splits.items()
        }
        return replace(
            self, splits={split: samples for split, samples in kept.items() if samples}, faults=()
        )

    def fingerprint(self) -> str:
        """A hash (64 hex digits) over classes, names and file sizes: cheap, no pixel is read.

        Two data sets of one fingerprint are the same but for changes that keep every file's size.
        """
        digest = hashlib.sha256()
        digest.update(repr((self.format, self.classes)).encode())
        for split in sorted(self.splits):
            for sample in self.splits[split]:
                files = (sample.image, *sample.label.paths())
                sizes_bytes = [path.stat().st_size for path in files]
                digest.update(repr((split, sample.name, sizes_bytes)).encode())
        return digest.hexdigest()


def find_split_folder(parent: Path, split: str) -> Path | None:
    """The folder of a split in any of its spellings (`val` for `valid`), or None.

    >>> find_split_folder(Path("/nowhere"), "valid") is None
    True
    """
    for spelling in SPLIT_SPELLINGS[split]:
        folder = parent / spelling
        if folder.is_dir():
            return folder
    return None


def list_images(folder: Path) -> list[Path]:
    """Image files directly in a folder, by name; hidden files are left out."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    )
