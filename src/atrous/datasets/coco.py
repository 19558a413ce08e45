"""The COCO format: one JSON per split lists photos and the outlines of objects on them."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from atrous.datasets.coco_labels import CocoAnnotation, CocoLabels
from atrous.datasets.version import (
    SPLIT_SPELLINGS,
    SPLITS,
    Dataset,
    Fault,
    Sample,
    find_split_folder,
    list_images,
)
from atrous.domain.classes import BACKGROUND, BACKGROUND_ID, IGNORE_ID, IGNORED, ClassTable
from atrous.domain.errors import BadDataset
from atrous.domain.geometry import Size

FILES_BESIDE_IMAGES = ("_annotations.coco.json", "annotations.json", "instances.json")
PLACEHOLDER_ID = 999_999_999  # id and image_id of an annotation that some exports add
# What numbers without bounds, deep nesting and other types make of reading a file.
UNREADABLE = (
    ArithmeticError,
    AttributeError,
    KeyError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
)
MASK_ENDING = "_mask"  # of PNG masks that lie beside the photos for another format


@dataclass(frozen=True)
class CocoFile:
    """Where the annotations and the photos of one split lie."""

    annotations: Path
    images: Path


@dataclass
class _Split:
    """One JSON file as it is read."""

    name: str
    file: CocoFile
    images: list[dict[str, Any]]
    annotations: list[dict[str, Any]]
    categories: list[dict[str, Any]]
    samples: dict[str, Sample] = field(default_factory=dict)


def find_coco_files(root: Path) -> dict[str, CocoFile]:
    """The annotation file of each split.

    Beside the photos of a split (`train/_annotations.coco.json`), or as
    `annotations/instances_train*.json`, or one file in the root for all. By file names alone.
    """
    beside = {
        split: CocoFile(annotations, folder)
        for split in SPLITS
        if (folder := find_split_folder(root, split)) and (annotations := _file_beside(folder))
    }
    if beside:
        return beside
    apart = {
        split: CocoFile(annotations, _image_folder(root, split, annotations))
        for split in SPLITS
        if (annotations := _file_apart(root / "annotations", split))
    }
    if apart:
        return apart
    whole = _file_beside(root)
    if whole is None:
        return {}
    return {"train": CocoFile(whole, root / "images" if (root / "images").is_dir() else root)}


def open_coco(root: Path) -> Dataset:
    """Read the JSON of every split; raises BadDataset when they are no COCO or name other classes.

    Classes are ordered by category id. Category 0 is left out where it is only the name of the
    annotation group. A category called background is class 0, one called `__ignore__` is 255.
    """
    files = find_coco_files(root)
    if not files:
        raise BadDataset(
            f"{root} has no COCO annotations; looked for train/{FILES_BESIDE_IMAGES[0]} "
            "and annotations/instances_train*.json"
        )
    splits = [_read_split(name, file) for name, file in files.items()]
    classes, class_ids = _class_table(splits)
    faults: list[Fault] = []
    for split in splits:
        split.samples = _samples(root, split, class_ids, faults)
    faults += _unlisted_images(root, splits)
    notes = tuple(note for split in splits if (note := _note_on_boxes(root, split)))
    return Dataset(
        root,
        "coco",
        classes,
        {split.name: tuple(split.samples.values()) for split in splits},
        notes=notes,
        faults=tuple(faults),
    )


def _file_beside(folder: Path) -> Path | None:
    return next(
        (folder / name for name in FILES_BESIDE_IMAGES if (folder / name).is_file()),
        None,
    )


def _file_apart(folder: Path, split: str) -> Path | None:
    """`instances_val2017.json` or `val.json`, not `captions_val2017.json`."""
    pattern = re.compile(rf"(instances_)?({'|'.join(SPLIT_SPELLINGS[split])})\d*\.json")
    return next((path for path in sorted(folder.glob("*")) if pattern.fullmatch(path.name)), None)


def _image_folder(root: Path, split: str, annotations: Path) -> Path:
    own_name = annotations.stem.removeprefix("instances_")
    names = (own_name, *SPLIT_SPELLINGS[split])
    candidates = [root / name for name in names] + [root / "images" / name for name in names]
    return next((path for path in [*candidates, root / "images"] if path.is_dir()), root)


def _read_split(name: str, file: CocoFile) -> _Split:
    try:
        content = json.loads(file.annotations.read_bytes())
        images, annotations, categories = (
            content[key] for key in ("images", "annotations", "categories")
        )
        for entry in categories:
            int(entry["id"]), str(entry["name"])
        for entry in images:
            int(entry["id"]), _safe_name(entry["file_name"])
        for entry in annotations:
            int(entry["id"]), int(entry["image_id"]), int(entry["category_id"])
    except UNREADABLE as error:
        raise BadDataset(
            f"{file.annotations} is no COCO file ({type(error).__name__}: {str(error)[:100]}); "
            "expected lists "
            "of images (id, file_name), annotations (id, image_id, category_id, segmentation) and "
            "categories (id, name)"
        ) from error
    return _Split(name, file, images, annotations, categories)


def _safe_name(file_name: str) -> PurePosixPath:
    """A path below the folder of images; a JSON from elsewhere may not reach out of it."""
    path = PurePosixPath(file_name)
    if path.is_absolute() or ".." in path.parts or not path.name:
        raise ValueError(f"file name {file_name!r} leads out of the data set")
    return path


def _class_table(splits: list[_Split]) -> tuple[ClassTable, dict[int, int]]:
    """The classes, and the class id of each category id."""
    names = _category_names(splits[0])
    for split in splits[1:]:
        others = _category_names(split)
        if others != names:
            raise BadDataset(
                f"{split.file.annotations} has the categories {others} but "
                f"{splits[0].file.annotations} has {names}; every split needs the same"
            )
    used = {entry["category_id"] for split in splits for entry in split.annotations}
    if 0 in names and 0 not in used and is_group(splits[0].categories):
        del names[0]
    background = [key for key in names if names[key].lower() == BACKGROUND]
    ignored = [key for key in names if names[key] == IGNORED]
    others_by_id = sorted(key for key in names if key not in (*background, *ignored))
    class_ids = dict.fromkeys(background, BACKGROUND_ID) | dict.fromkeys(ignored, IGNORE_ID)
    class_ids.update({key: index for index, key in enumerate(others_by_id, start=1)})
    return ClassTable((BACKGROUND, *(names[key] for key in others_by_id))), class_ids


def _category_names(split: _Split) -> dict[int, str]:
    """By category id; spaces around a name don't make another class, as in uploaded annotations."""
    return {entry["id"]: str(entry["name"]).strip() for entry in split.categories}


def _note_on_boxes(root: Path, split: _Split) -> str | None:
    """Says which annotations have a box alone; raises BadDataset where all of a split have."""
    boxes = [entry["id"] for entry in split.annotations if not entry.get("segmentation")]
    if not boxes:
        return None
    file = split.file.annotations.relative_to(root).as_posix()
    if len(boxes) == len(split.annotations):
        raise BadDataset(
            f"{split.file.annotations} has boxes alone, no annotation has an outline; "
            "export it with polygons or masks"
        )
    return (
        f"{file}: {len(boxes)} of {len(split.annotations)} annotations have no outline and cover "
        f"no pixel (the first is {boxes[0]})"
    )


def is_group(categories: list[dict[str, Any]]) -> bool:
    """Whether category 0 is no class but the group that the others belong to."""
    group = next(entry for entry in categories if entry["id"] == 0)
    return group.get("supercategory") in (None, "", "none") or any(
        entry.get("supercategory") == group["name"] for entry in categories if entry is not group
    )


def _samples(
    root: Path, split: _Split, class_ids: dict[int, int], faults: list[Fault]
) -> dict[str, Sample]:
    json_name = split.file.annotations.relative_to(root).as_posix()
    names_by_image = {entry["id"]: _sample_name(entry["file_name"]) for entry in split.images}
    by_image: dict[int, list[CocoAnnotation]] = {image_id: [] for image_id in names_by_image}
    for entry in split.annotations:
        image_id, category_id = entry["image_id"], entry["category_id"]
        name = names_by_image.get(image_id)
        said = f"annotation {entry['id']} is of"
        if name is None:
            if not entry["id"] == image_id == PLACEHOLDER_ID:
                message = f"{said} image {image_id}, which is not listed"
                fault = Fault(split.name, json_name, "annotation of an unknown image", message)
                faults.append(fault)
        elif category_id not in class_ids:
            message = f"{said} category {category_id}, expected one of {sorted(class_ids)}"
            fault = Fault(split.name, json_name, "id outside the class list", message, name)
            faults.append(fault)
        elif entry.get("segmentation"):
            by_image[image_id].append(CocoAnnotation(class_ids[category_id], entry["segmentation"]))
    return _listed_images(root, split, by_image, faults)


def _listed_images(
    root: Path, split: _Split, by_image: dict[int, list[CocoAnnotation]], faults: list[Fault]
) -> dict[str, Sample]:
    samples: dict[str, Sample] = {}
    for entry in split.images:
        path = split.file.images / entry["file_name"]
        file = path.relative_to(root).as_posix()
        name = _sample_name(entry["file_name"])
        if name in samples:
            message = f"{samples[name].image.name} has this name too; rename one"
            faults.append(Fault(split.name, file, "name given twice", message))
        elif not path.is_file():
            message = f"listed in {split.file.annotations.name} but not there"
            faults.append(Fault(split.name, file, "missing partner", message))
        else:
            labels = CocoLabels(
                split.file.annotations, path.name, _stated_size(entry), tuple(by_image[entry["id"]])
            )
            samples[name] = Sample(name, path, labels)
    return samples


def _sample_name(file_name: str) -> str:
    return _safe_name(file_name).with_suffix("").as_posix().replace("/", "_")


def _stated_size(entry: dict[str, Any]) -> Size | None:
    height, width = entry.get("height"), entry.get("width")
    if isinstance(height, int) and isinstance(width, int):
        return Size(height, width)
    return None


def _unlisted_images(root: Path, splits: Iterable[_Split]) -> list[Fault]:
    """A fault for each photo beside the listed ones that no split lists."""
    listed: dict[Path, set[str]] = {}
    split_names: dict[Path, str] = {}
    for split in splits:
        for entry in split.images:
            path = split.file.images / entry["file_name"]
            split_names.setdefault(path.parent, split.name)
            known = listed.setdefault(path.parent, set())
            known.update((path.name, f"{path.stem}{MASK_ENDING}.png"))
    return [
        Fault(
            split_names[folder],
            path.relative_to(root).as_posix(),
            "missing partner",
            "no COCO file lists this photo; list it, with no annotations if it shows nothing",
        )
        for folder, known in listed.items()
        if folder.is_dir()
        for path in list_images(folder)
        if path.name not in known
    ]
