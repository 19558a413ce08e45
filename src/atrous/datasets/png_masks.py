"""The `png-mask-semantic` format: `<stem>_mask.png` beside images, classes in `_classes.csv`."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from atrous.datasets.class_lists import (
    IdLookup,
    classes_and_lookup,
    read_class_list,
    says_ignored,
)
from atrous.datasets.version import (
    SPLITS,
    Dataset,
    Fault,
    Sample,
    find_split_folder,
    list_images,
)
from atrous.domain.classes import IGNORE_ID
from atrous.domain.errors import BadDataset, BadImage
from atrous.domain.geometry import Size
from atrous.masks.png import MAX_PIXELS, decode_label_map

CLASSES_FILE = "_classes.csv"
MASK_ENDING = "_mask"


@dataclass(frozen=True)
class MaskFile:
    """A label map in a PNG file whose pixel values are raw ids."""

    path: Path
    lookup: IdLookup

    def read_raw(self, size: Size) -> UInt8[np.ndarray, "height width"]:
        """Ids as they are in the file."""
        try:
            data, limit = self.path.read_bytes(), max(size.area, MAX_PIXELS)
            raw = decode_label_map(data, max_pixels=limit)
        except (OSError, BadImage) as error:
            raise BadImage(f"{self.path}: {error}") from error
        found = Size(*raw.shape)
        if found != size:
            raise BadDataset(
                f"{self.path}: the mask is {found} but its photo is {size}; make them the same "
                "size (photos are taken with their EXIF orientation applied)"
            )
        return raw

    def read(self, size: Size) -> UInt8[np.ndarray, "height width"]:
        """Model ids, 255 where ignored or outside the class list."""
        return np.take(self.lookup.as_array(), self.read_raw(size))

    def unknown_ids(self, size: Size) -> dict[int, int]:
        """Pixels per raw id that is outside the class list."""
        counts = np.bincount(self.read_raw(size).ravel(), minlength=256)
        return {
            int(raw_id): int(counts[raw_id])
            for raw_id in np.flatnonzero(counts)
            if int(raw_id) not in self.lookup.known
        }

    def paths(self) -> tuple[Path, ...]:
        """The mask itself."""
        return (self.path,)


def is_png_masks(root: Path) -> bool:
    """Whether a split folder, or the root beside masks, holds a `_classes.csv`."""
    folders = [find_split_folder(root, split) for split in SPLITS]
    if any(folder and (folder / CLASSES_FILE).is_file() for folder in folders):
        return True
    return (root / CLASSES_FILE).is_file() and any(root.glob(f"*{MASK_ENDING}.png"))


def open_png_masks(root: Path, ignore_id: int | None = None) -> Dataset:
    """List a `png-mask-semantic` export; raises BadDataset when its splits name other classes."""
    folders = {split: find_split_folder(root, split) for split in SPLITS}
    found = {split: folder for split, folder in folders.items() if folder}
    if not any((folder / CLASSES_FILE).is_file() for folder in found.values()):
        found = {"train": root}
    names = _same_class_list(list(found.values()))
    if ignore_id is None and any(says_ignored(folder / CLASSES_FILE) for folder in found.values()):
        ignore_id = IGNORE_ID
    classes, lookup = classes_and_lookup(names, ignore_id)
    splits: dict[str, tuple[Sample, ...]] = {}
    faults: list[Fault] = []
    for split, folder in found.items():
        splits[split] = _pair(root, folder, split, lookup, faults)
    return Dataset(root, "png-mask-semantic", classes, splits, faults=tuple(faults))


def _same_class_list(folders: list[Path]) -> tuple[str, ...]:
    first = read_class_list(folders[0] / CLASSES_FILE)
    for folder in folders[1:]:
        names = read_class_list(folder / CLASSES_FILE)
        if names != first:
            raise BadDataset(
                f"{folder / CLASSES_FILE} lists {list(names)} but "
                f"{folders[0] / CLASSES_FILE} lists {list(first)}; every split needs the same list"
            )
    return first


def _pair(
    root: Path, folder: Path, split: str, lookup: IdLookup, faults: list[Fault]
) -> tuple[Sample, ...]:
    files = list_images(folder)
    masks = {path.stem: path for path in files if _is_mask(path)}
    samples: dict[str, Sample] = {}
    for path in files:
        if _is_mask(path):
            continue
        file = path.relative_to(root).as_posix()
        mask = masks.get(path.stem + MASK_ENDING)
        if path.stem in samples:
            faults.append(
                Fault(split, file, "name given twice", f"{samples[path.stem].image.name} has it")
            )
        elif mask is None:
            message = f"no mask {path.stem}{MASK_ENDING}.png beside it"
            faults.append(Fault(split, file, "missing partner", message))
        else:
            samples[path.stem] = Sample(path.stem, path, MaskFile(mask, lookup))
    for stem, mask in masks.items():
        if stem.removesuffix(MASK_ENDING) not in samples:
            file = mask.relative_to(root).as_posix()
            faults.append(Fault(split, file, "missing partner", "no image of this name beside it"))
    return tuple(samples.values())


def _is_mask(path: Path) -> bool:
    return path.suffix.lower() == ".png" and path.stem.endswith(MASK_ENDING)
