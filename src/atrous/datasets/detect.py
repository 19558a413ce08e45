"""Recognises the format of a data set folder and opens it."""

from dataclasses import dataclass, replace
from pathlib import Path

from atrous.datasets.annotated_folders import FORMATS as ANNOTATED_FORMATS
from atrous.datasets.annotated_folders import annotated_format, open_annotated
from atrous.datasets.coco import find_coco_files, open_coco
from atrous.datasets.folders import find_folder_pairs, open_folders
from atrous.datasets.png_masks import is_png_masks, open_png_masks
from atrous.datasets.split import with_valid_split
from atrous.datasets.unrecognised import describe_unrecognised
from atrous.datasets.version import Dataset
from atrous.domain.errors import BadDataset

FORMATS = ("png-mask-semantic", "coco", *ANNOTATED_FORMATS, "folders")


@dataclass(frozen=True)
class DatasetOptions:
    """What the user says about a data set beyond its folder."""

    format: str | None = None  # one of FORMATS; None: recognised
    classes: tuple[str, ...] | None = None  # names by raw id, for `folders`
    classes_file: Path | None = None  # the same in a file
    ignore_id: int | None = None  # raw id of pixels that are left out of training and figures
    seed: int = 0  # of the held-out validation split


def open_dataset(root: Path, options: DatasetOptions = DatasetOptions()) -> Dataset:
    """Recognise and open a data set; a missing validation split is held out of train.

    Faults of single files are not raised but listed in `faults`. Raises BadDataset when the
    format isn't recognised or its class list can't be read.
    """
    if not root.is_dir():
        raise BadDataset(f"{root} is not a folder; give the folder that holds the data set")
    found = recognised_formats(root)
    chosen = _choose(root, found, options)
    dataset = _open(root, chosen, options)
    others = [name for name in found if name != chosen]
    if others:
        note = (
            f"{root.name} also holds {' and '.join(others)}; read as {chosen}, "
            f"--format {others[0]} chooses the other"
        )
        dataset = replace(dataset, notes=(note, *dataset.notes))
    return with_valid_split(dataset, options.seed)


def recognised_formats(root: Path) -> list[str]:
    """The formats that a folder holds, the one that is taken first."""
    found = []
    if is_png_masks(root):
        found.append("png-mask-semantic")
    if find_coco_files(root):
        found.append("coco")
    annotated = None if found else annotated_format(root)
    if annotated:
        found.append(annotated)
    elif find_folder_pairs(root):
        found.append("folders")
    return found


def _choose(root: Path, found: list[str], options: DatasetOptions) -> str:
    if options.format is not None:
        if options.format not in FORMATS:
            raise BadDataset(f"format {options.format!r} is none of {', '.join(FORMATS)}")
        return options.format
    if not found:
        raise BadDataset(
            f"no data set is recognised in {root}: "
            f"{describe_unrecognised(root, lambda path: bool(recognised_formats(path)))}. "
            "docs/data_sets.md shows the folders that are: png-mask-semantic, coco, "
            f"{', '.join(ANNOTATED_FORMATS)}, images/ + masks/ and others like them"
        )
    return found[0]


def _open(root: Path, chosen: str, options: DatasetOptions) -> Dataset:
    if chosen == "folders":
        return open_folders(
            root,
            class_names=options.classes,
            classes_file=options.classes_file,
            ignore_id=options.ignore_id,
        )
    if options.classes or options.classes_file:
        raise BadDataset(f"{chosen} brings its own class list; leave --classes out")
    if chosen == "coco":
        if options.ignore_id is not None:
            raise BadDataset("coco has no ignored id; leave --ignore-id out")
        return open_coco(root)
    for name in ANNOTATED_FORMATS:
        if name == chosen:
            if options.ignore_id is not None:
                raise BadDataset(f"{chosen} has no ignored id; leave --ignore-id out")
            return open_annotated(root, name)
    return open_png_masks(root, options.ignore_id)
