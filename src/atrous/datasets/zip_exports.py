"""Labelled photos -> one zip in a format that others, and this project, read."""

import contextlib
import json
import re
import shutil
import tempfile
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from atrous.datasets.class_lists import as_csv_field
from atrous.datasets.png_masks import CLASSES_FILE, MASK_ENDING
from atrous.datasets.yolo import FORMAT as YOLO
from atrous.datasets.yolo import write_label_map
from atrous.datasets.yolo_names import write_data_yaml
from atrous.domain.classes import BACKGROUND_ID, IGNORE_ID, IGNORED
from atrous.domain.errors import BadInput
from atrous.images.media_types import SUFFIXES
from atrous.masks.boxes import box_around
from atrous.masks.png import encode_label_map
from atrous.masks.rle import encode_rle

FORMATS = ("png-mask-semantic", "coco", "coco-segmentation", "yolo-seg")
ANNOTATIONS_FILE = "_annotations.coco.json"
README = "README.dataset.txt"
STEPS_README = "README.roboflow.txt"  # the name under which tools look for counts and steps
IGNORED_IN_MASKS = "ignored pixels: 255 in the masks; leave them out of training and of figures"
IGNORED_AS_CLASS = (
    f"ignored pixels: annotations of the last class, {IGNORED}, which is none: leave them out of "
    "training and of figures"
)
UNFIT = re.compile(r"[^A-Za-z0-9._-]+")
ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # of every file: the same version gives the same bytes


@dataclass(frozen=True)
class ExportedPhoto:
    """A photo's file and its label map."""

    name: str  # as it was uploaded
    split: str
    digest: str  # of photo and label: tells photos of one name apart
    media_type: str
    data: bytes
    label_map: UInt8[np.ndarray, "height width"]

    @property
    def file_name(self) -> str:
        """A plain name that no other photo has: `street_jpg.rf.<32 hex digits>.jpg`."""
        path = PurePosixPath(self.name)
        plain = unicodedata.normalize("NFKD", path.stem).encode("ascii", "ignore").decode()
        stem = UNFIT.sub("-", plain).strip("-.")[:100] or "photo"
        ending = UNFIT.sub("", path.suffix.removeprefix(".").lower())[:10]
        marked = f"{stem}_{ending}" if ending else stem
        return f"{marked}.rf.{self.digest[:32]}{SUFFIXES[self.media_type]}"


@dataclass(frozen=True)
class ExportFacts:
    """What the READMEs and lists of classes say of the whole."""

    title: str  # as "Roads v1"
    created: str  # a date
    notes: tuple[str, ...] = ()  # lines besides
    steps: tuple[str, ...] = ()  # what was done to the photos, a line each
    group: str = "objects"  # that the classes belong to


def write_zip(
    path: Path,
    wanted: str,
    class_names: tuple[str, ...],
    photos: Iterable[ExportedPhoto],
    facts: ExportFacts,
) -> None:
    """Write a zip, photo by photo. The label maps hold places in `class_names`, and 255.

    No format has a word for ignored pixels. They are of a class more, `__ignore__`, which is last,
    255 in masks, in COCO marked as a crowd; it is there only where a label has such pixels.
    """
    if wanted not in FORMATS:
        raise BadInput(f"format {wanted[:100]!r} is not offered; take one of {', '.join(FORMATS)}")
    counts: Counter[str] = Counter()
    photos = _counted(photos, counts)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        if wanted == "png-mask-semantic":
            has_ignored = _write_png_masks(archive, class_names, photos)
        elif wanted == YOLO:
            has_ignored = _write_yolo(archive, class_names, photos)
        else:
            has_ignored = _write_coco(archive, class_names, photos, facts, path.parent)
        told = IGNORED_IN_MASKS if wanted == "png-mask-semantic" else IGNORED_AS_CLASS
        lines = [facts.title, facts.created, f"format: {wanted}", *facts.notes]
        lines += [told] if has_ignored else []
        _add(archive, README, _as_text(lines))
        _add(archive, STEPS_README, _as_text(_steps_lines(wanted, counts, facts)))


def _counted(photos: Iterable[ExportedPhoto], counts: Counter[str]) -> Iterator[ExportedPhoto]:
    """The same photos; how many there were of each split is in `counts` then."""
    for photo in photos:
        counts[photo.split] += 1
        yield photo


def _steps_lines(wanted: str, counts: Counter[str], facts: ExportFacts) -> list[str]:
    by_split = ", ".join(f"{split} {counts[split]}" for split in sorted(counts))
    return [
        facts.title,
        f"photos: {counts.total()} ({by_split})",
        f"annotated in the format {wanted}",
        "",
        "Done to the photos:" if facts.steps else "Nothing was done to the photos.",
        *(f"- {step}" for step in facts.steps),
    ]


def _as_text(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")


def _has_ignored(label_map: UInt8[np.ndarray, "height width"]) -> bool:
    return bool((label_map == IGNORE_ID).any())


def _write_png_masks(
    archive: zipfile.ZipFile, class_names: tuple[str, ...], photos: Iterable[ExportedPhoto]
) -> bool:
    """Write all but the README; gives whether any pixel is ignored."""
    splits, has_ignored = set(), False
    for photo in photos:
        has_ignored |= _has_ignored(photo.label_map)
        splits.add(photo.split)
        stem = photo.file_name.removesuffix(SUFFIXES[photo.media_type])
        _add(archive, f"{photo.split}/{photo.file_name}", photo.data)
        mask = encode_label_map(photo.label_map)
        _add(archive, f"{photo.split}/{stem}{MASK_ENDING}.png", mask)
    rows = [f"{number}, {as_csv_field(name)}" for number, name in enumerate(class_names)]
    rows += [f"{IGNORE_ID}, {IGNORED}"] if has_ignored else []
    for split in sorted(splits):
        classes = "\n".join(["Pixel Value, Class", *rows]).encode()
        _add(archive, f"{split}/{CLASSES_FILE}", classes)
    return has_ignored


def _write_yolo(
    archive: zipfile.ZipFile, class_names: tuple[str, ...], photos: Iterable[ExportedPhoto]
) -> bool:
    """Write all but the README; gives whether any pixel is ignored."""
    splits, has_ignored = [], False
    for photo in photos:
        has_ignored |= _has_ignored(photo.label_map)
        splits.append(photo.split)
        stem = photo.file_name.removesuffix(SUFFIXES[photo.media_type])
        _add(archive, f"{photo.split}/images/{photo.file_name}", photo.data)
        text = write_label_map(photo.label_map, ignored=len(class_names) - 1)
        _add(archive, f"{photo.split}/labels/{stem}.txt", text.encode())
    names = (*class_names[1:], IGNORED) if has_ignored else class_names[1:]
    _add(archive, "data.yaml", write_data_yaml(names, tuple(set(splits))).encode())
    return has_ignored


def _write_coco(
    archive: zipfile.ZipFile,
    class_names: tuple[str, ...],
    photos: Iterable[ExportedPhoto],
    facts: ExportFacts,
    folder: Path,
) -> bool:
    """Write all but the README; gives whether any pixel is ignored. `folder` has room for it."""
    has_ignored = False
    with contextlib.ExitStack() as files:
        lists: dict[str, tuple[_JsonList, _JsonList]] = {}
        for photo in photos:
            has_ignored |= _has_ignored(photo.label_map)
            if photo.split not in lists:
                lists[photo.split] = _JsonList.in_(folder, files), _JsonList.in_(folder, files)
            images, annotations = lists[photo.split]
            _add(archive, f"{photo.split}/{photo.file_name}", photo.data)
            for entry in _annotations(photo.label_map, ignored=len(class_names)):
                annotations.add({"id": annotations.count, "image_id": images.count, **entry})
            images.add(_coco_image(images.count, photo, facts))
        names = (*class_names, IGNORED) if has_ignored else class_names
        for split, (images, annotations) in lists.items():
            head = json.dumps(_coco_head(names, facts)).removesuffix("}")
            info = _zip_info(f"{split}/{ANNOTATIONS_FILE}")
            with archive.open(info, "w", force_zip64=True) as target:
                target.write(f'{head}, "images": ['.encode())
                images.copy_to(target)
                target.write(b'], "annotations": [')
                annotations.copy_to(target)
                target.write(b"]}")
    return has_ignored


@runtime_checkable
class Writable(Protocol):
    """A file that takes bytes."""

    def write(self, data: bytes, /) -> int:
        """Take all of them."""
        ...


@dataclass
class _JsonList:
    """The inside of a long list, in a file: of very many photos it is more than memory holds."""

    file: IO[bytes]
    count: int = 0

    @classmethod
    def in_(cls, folder: Path, files: contextlib.ExitStack) -> "_JsonList":
        """An empty one, whose file has no name and is gone when the stack is left."""
        return cls(files.enter_context(tempfile.TemporaryFile(dir=folder)))

    def add(self, entry: dict[str, Any]) -> None:
        self.file.write((", " if self.count else "").encode() + json.dumps(entry).encode())
        self.count += 1

    def copy_to(self, target: Writable) -> None:
        self.file.seek(0)
        shutil.copyfileobj(self.file, target, 1 << 20)


def _coco_image(number: int, photo: ExportedPhoto, facts: ExportFacts) -> dict[str, Any]:
    height, width = photo.label_map.shape
    return {
        "id": number,
        "license": 1,
        "file_name": photo.file_name,
        "height": height,
        "width": width,
        "date_captured": facts.created,
        "extra": {"name": photo.name},
    }


def _annotations(
    label_map: UInt8[np.ndarray, "height width"], ignored: int
) -> Iterator[dict[str, Any]]:
    """One annotation per class: an RLE, which keeps holes and parts that lie apart.

    Pixels of 255 are a crowd of the category `ignored`: tools leave crowds out of training and
    of figures.
    """
    for number in np.unique(label_map):
        if number == BACKGROUND_ID:
            continue
        mask = label_map == number
        box = box_around(mask)
        yield {
            "category_id": ignored if number == IGNORE_ID else int(number),
            "bbox": [box.left, box.top, box.size.width, box.size.height],
            "area": int(mask.sum()),
            "segmentation": encode_rle(mask),
            "iscrowd": int(number == IGNORE_ID),
        }


def _coco_head(class_names: tuple[str, ...], facts: ExportFacts) -> dict[str, Any]:
    """A file but its images and annotations. Category 0 is the group that the others belong to."""
    return {
        "info": {
            "year": facts.created[:4],
            "version": "1",
            "description": facts.title,
            "contributor": "",
            "url": "",
            "date_created": facts.created,
        },
        "licenses": [{"id": 1, "url": "", "name": "Private"}],
        "categories": [
            {"id": 0, "name": facts.group, "supercategory": "none"},
            *(
                {"id": number, "name": name, "supercategory": facts.group}
                for number, name in enumerate(class_names)
                if number
            ),
        ],
    }


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    archive.writestr(_zip_info(name), data)


def _zip_info(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, ZIP_TIME)
    entry.external_attr = 0o644 << 16
    return entry
