"""Folders of photos with annotation files: YOLO-seg, Pascal VOC, LabelMe and CVAT."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from atrous.datasets import cvat, labelme, voc, yolo
from atrous.datasets.annotated_areas import AreaFile, count_boxes
from atrous.datasets.annotation_text import AnnotationFile
from atrous.datasets.label_files import PhotoFiles
from atrous.datasets.labelled_files import LabelledFiles
from atrous.datasets.version import SPLITS, Dataset, Fault, Format, Sample
from atrous.domain.classes import BACKGROUND, IGNORE_ID, ClassTable
from atrous.domain.errors import BadDataset, BadImage
from atrous.domain.geometry import Size

FORMATS: tuple[Format, ...] = ("yolo-seg", "voc", "labelme", "cvat")
LAYOUTS: dict[str, str] = {
    yolo.FORMAT: "data.yaml, and labels/a.txt for images/a.jpg",
    voc.FORMAT: "a.xml beside a.jpg, or Annotations/a.xml for JPEGImages/a.jpg",
    labelme.FORMAT: "a.json beside a.jpg",
    cvat.FORMAT: "annotations.xml over all photos",
}


@dataclass(frozen=True)
class AnnotatedLabel:
    """The label of one photo in an annotation file, read when it is asked for."""

    root: Path
    photo: PhotoFiles
    file: str  # the annotation file, below the root
    class_names: tuple[str, ...]  # of the whole set
    files: LabelledFiles = field(repr=False, compare=False)

    def read(self, size: Size) -> UInt8[np.ndarray, "height width"]:
        """Model ids, 255 where ignored; BadDataset on another size, BadImage on a bad outline."""
        found = self.files.annotations_of(self.photo)
        if found is None:
            raise BadImage(f"{self.file}: it does not list {self.photo.path} any more")
        _, annotations, name = found
        table = np.full(256, IGNORE_ID, np.uint8)
        places = [self.class_names.index(name) for name in annotations.class_names]
        table[: len(places)] = places
        return np.take(table, annotations.label_map(name, size))

    def unknown_ids(self, size: Size) -> dict[int, int]:
        """None: classes without a name are found when the set is opened."""
        return {}

    def paths(self) -> tuple[Path, ...]:
        """The annotation file."""
        return (self.root / self.file,)


def annotated_format(root: Path) -> Format | None:
    """The format of the first annotation that can be read; None where there is none of these."""
    files = _labelled_files(root)
    for _, annotations in _annotations(files, []):
        if annotations.format in FORMATS:
            known: Format = annotations.format
            return known
    return None


def open_annotated(root: Path, wanted: Format) -> Dataset:
    """Read every annotation file of a set once, for its classes; photos are read later.

    Classes are in the order of the format's own list, else in that in which files show them.
    """
    files, faults = _labelled_files(root), []
    for fault in files.faults:
        faults.append(Fault("train", fault.file, "undecodable label", fault.message))
    found = [
        (photo, annotations)
        for photo, annotations in _annotations(files, faults)
        if annotations.format == wanted
    ]
    if not found:
        raise BadDataset(f"{root} has no {wanted} annotations; looked for {LAYOUTS[wanted]}")
    names = dict.fromkeys(name for _, annotations in found for name in annotations.class_names)
    class_names = (BACKGROUND, *(name for name in names if name != BACKGROUND))
    splits: dict[str, dict[str, Sample]] = {}
    for photo, annotations in found:
        samples = splits.setdefault(photo.split or "train", {})
        path = root / photo.path
        if path.stem in samples:
            message = f"{samples[path.stem].image.name} has this name too; rename one"
            faults.append(_fault(photo, "name given twice", message))
            continue
        label = AnnotatedLabel(root, photo, annotations.name, class_names, files)
        samples[path.stem] = Sample(path.stem, path, label)
    return Dataset(
        root,
        wanted,
        ClassTable(class_names),
        {split: tuple(splits[split].values()) for split in SPLITS if split in splits},
        notes=_note_on_boxes(root, [annotations for _, annotations in found]),
        faults=tuple(faults),
    )


def _labelled_files(root: Path) -> LabelledFiles:
    paths = [
        (Path(folder) / name).relative_to(root).as_posix()
        for folder, _, names in os.walk(root)
        for name in names
    ]
    return LabelledFiles(paths, lambda path: _read(root / path))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadDataset(f"it can't be read ({error.strerror})") from error


def _annotations(
    files: LabelledFiles, faults: list[Fault]
) -> Iterator[tuple[PhotoFiles, AnnotationFile]]:
    """Every photo with its annotation file; what is missing or broken becomes a fault."""
    for photo in files.files.photos:
        try:
            found = files.annotations_of(photo)
        except BadDataset as error:
            faults.append(_fault(photo, "undecodable label", str(error)))
            continue
        if found:
            yield photo, found[1]
        else:
            message = "no annotation of this name; an empty one says that it shows nothing"
            faults.append(_fault(photo, "missing partner", message))


def _fault(photo: PhotoFiles, kind: str, message: str) -> Fault:
    return Fault(photo.split or "train", photo.path, kind, message)  # type: ignore[arg-type]


def _note_on_boxes(root: Path, files: list[AnnotationFile]) -> tuple[str, ...]:
    """Says that some areas are boxes; raises BadDataset where all of them are."""
    boxes, areas = count_boxes({id(f): f for f in files if isinstance(f, AreaFile)}.values())
    if not boxes:
        return ()
    if boxes == areas:
        raise BadDataset(
            f"{root} has boxes alone, no annotation has an outline; "
            "export it with polygons or masks"
        )
    return (f"{boxes} of {areas} annotations are boxes, which are filled as rectangles",)
