"""Parallel folders of images and masks, matched by file name, in the layouts that are common."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from atrous.datasets.class_lists import IdLookup, classes_and_lookup, read_class_list
from atrous.datasets.png_masks import MaskFile
from atrous.datasets.version import SPLIT_SPELLINGS, SPLITS, Dataset, Fault, Sample, list_images
from atrous.domain.errors import BadDataset

CLASS_FILES = ("classes.txt", "labels.txt", "_classes.csv", "class_names.txt")
LABEL_ENDINGS = ("", "_mask", "_label")  # of a label's stem, after its image's stem

# image folder and label folder, `*` being the split; the first layout that is there is taken
SPLIT_LAYOUTS = (
    ("*", "*annot"),
    ("*", "*_labels"),
    ("*", "*_masks"),
    ("*/images", "*/masks"),
    ("*/images", "*/labels"),
    ("*/images", "*/annotations"),
    ("images/*", "masks/*"),
    ("images/*", "labels/*"),
    ("images/*", "annotations/*"),
    ("img_dir/*", "ann_dir/*"),
)
WHOLE_LAYOUTS = (
    ("images", "masks"),
    ("images", "labels"),
    ("images", "annotations"),
    ("img_dir", "ann_dir"),
    ("JPEGImages", "SegmentationClass"),
)


@dataclass(frozen=True)
class FolderPair:
    """Where the images and the labels of one split lie."""

    split: str
    images: Path
    labels: Path


def find_folder_pairs(root: Path) -> list[FolderPair]:
    """The splits of the first layout that is there, `train` first; empty when there is none."""
    for image_folder, label_folder in SPLIT_LAYOUTS:
        pairs = [
            pair
            for split in SPLITS
            for pair in _pairs_of_split(root, split, image_folder, label_folder)
        ]
        if pairs:
            return pairs
    for image_folder, label_folder in WHOLE_LAYOUTS:
        pair = FolderPair("train", root / image_folder, root / label_folder)
        if pair.images.is_dir() and pair.labels.is_dir() and list_images(pair.images):
            return [pair]
    return []


def describe_layouts() -> str:
    """The layouts that are looked for, for a message.

    >>> describe_layouts()[:18]
    'train + trainannot'
    """
    layouts = [*SPLIT_LAYOUTS, *WHOLE_LAYOUTS]
    return ", ".join(f"{images} + {labels}".replace("*", "train") for images, labels in layouts)


def open_folders(
    root: Path,
    *,
    class_names: Sequence[str] | None = None,
    classes_file: Path | None = None,
    ignore_id: int | None = None,
) -> Dataset:
    """List parallel folders of images and PNG masks.

    Raw id i of a mask is the i-th class name: those given, else of `classes_file`, else of a
    class file in the root. Raises BadDataset where the layout or the class names are missing.
    """
    pairs = find_folder_pairs(root)
    if not pairs:
        raise BadDataset(
            f"{root} has no image and mask folders; looked for {describe_layouts()} "
            "(and the same for valid or val, and test)"
        )
    names = tuple(class_names) if class_names else read_class_list(_class_file(root, classes_file))
    classes, lookup = classes_and_lookup(names, ignore_id)
    faults: list[Fault] = []
    splits = {pair.split: _match(root, pair, lookup, faults) for pair in pairs}
    return Dataset(
        root, "folders", classes, splits, notes=_unlabelled(root, pairs), faults=tuple(faults)
    )


def _pairs_of_split(
    root: Path, split: str, image_folder: str, label_folder: str
) -> Iterator[FolderPair]:
    for spelling in SPLIT_SPELLINGS[split]:
        images = root / image_folder.replace("*", spelling)
        labels = root / label_folder.replace("*", spelling)
        if images.is_dir() and labels.is_dir():
            yield FolderPair(split, images, labels)
            return


def _class_file(root: Path, given: Path | None) -> Path:
    if given:
        return given
    for name in CLASS_FILES:
        if (root / name).is_file():
            return root / name
    raise BadDataset(
        f"{root} doesn't say its class names; give them in the order of the mask ids, as "
        f"--classes sky,road,car, or put one of {', '.join(CLASS_FILES)} into the folder"
    )


def _unlabelled(root: Path, pairs: list[FolderPair]) -> tuple[str, ...]:
    """A note on each split beside the found ones that has images and no labels."""
    found = {pair.split for pair in pairs}
    beside = pairs[0].images.parent
    return tuple(
        f"split {split} has no folder of labels and is left out"
        for split in SPLITS
        if split not in found
        and any((beside / spelling).is_dir() for spelling in SPLIT_SPELLINGS[split])
    )


def _match(
    root: Path, pair: FolderPair, lookup: IdLookup, faults: list[Fault]
) -> tuple[Sample, ...]:
    labels = {path.stem: path for path in list_images(pair.labels)}
    samples: dict[str, Sample] = {}
    used: set[str] = set()
    for path in list_images(pair.images):
        file = path.relative_to(root).as_posix()
        stem = next((path.stem + end for end in LABEL_ENDINGS if path.stem + end in labels), None)
        if path.stem in samples:
            message = f"{samples[path.stem].image.name} has this name too; rename one"
            faults.append(Fault(pair.split, file, "name given twice", message))
        elif stem is None:
            message = f"no label {path.stem}.png in {pair.labels.relative_to(root).as_posix()}"
            faults.append(Fault(pair.split, file, "missing partner", message))
        else:
            samples[path.stem] = Sample(path.stem, path, MaskFile(labels[stem], lookup))
            used.add(stem)
    for stem in sorted(labels.keys() - used):
        file = labels[stem].relative_to(root).as_posix()
        message = f"no image {stem} in {pair.images.relative_to(root).as_posix()}"
        faults.append(Fault(pair.split, file, "missing partner", message))
    return tuple(samples.values())
