"""The labels of a whole data set in any format: asked for one photo after the other.

What is broken is said of its own file, and spoils no other photo.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from atrous.datasets.annotation_text import AnnotationFile, read_annotations
from atrous.datasets.class_lists import class_names_in, classes_and_lookup
from atrous.datasets.label_files import (
    LabelFiles,
    PhotoFiles,
    distance,
    folder_of,
    folders_up,
    is_junk,
    match_label_files,
    nearest,
)
from atrous.datasets.yolo_names import NAMES_FILES, YAML_ENDINGS, read_names
from atrous.domain.classes import BACKGROUND, IGNORE_ID
from atrous.domain.errors import BadDataset, BadImage
from atrous.domain.geometry import Size
from atrous.masks.png import MAX_PIXELS, decode_label_map

MASK_CLASS_FILES = ("_classes.csv", "classes.txt", "labels.txt", "class_names.txt")
YOLO_CLASS_FILES = (*NAMES_FILES, "classes.txt")
SHOWN = 5  # paths in a message


@dataclass(frozen=True)
class FileFault:
    """What is wrong with one file."""

    file: str  # path within the data set
    message: str


@dataclass(frozen=True)
class FoundLabel:
    """The label of one photo."""

    file: str  # that it comes from
    label_map: UInt8[np.ndarray, "height width"]  # places in class_names, 255 where ignored
    class_names: tuple[str, ...]


class LabelledFiles:
    """Finds and reads labels. Reading is safe from several threads once this is made."""

    def __init__(
        self,
        paths: Iterable[str],
        read: Callable[[str], bytes],
        project_classes: Sequence[str] = (BACKGROUND,),
    ) -> None:
        """Match the files of a set by their names, and read those that are about many photos.

        read: gives the content of a path, or raises BadDataset.
        project_classes: by pixel value, for masks without a list of classes.
        """
        there = sorted(path for path in set(paths) if not is_junk(path))
        self._read, self._project_classes = read, tuple(project_classes)
        self.files: LabelFiles = match_label_files(there)
        self.faults = [
            FileFault(path, "no photo of this name beside it") for path in self.files.lonely
        ]
        self._names: dict[str, dict[int, str]] = {}  # of YOLO's format
        self._mask_classes: dict[str, tuple[str, ...]] = {}
        self._shared: dict[str, AnnotationFile] = {}
        for path in self.files.shared:
            self._try(path, self._open_shared)
        has_yolo = any((photo.text or "").endswith(".txt") for photo in self.files.photos)
        for path in there:
            name = path.rpartition("/")[2]
            if has_yolo and (name in YOLO_CLASS_FILES or name.lower().endswith(YAML_ENDINGS)):
                self._try(path, self._open_names)
            elif name in MASK_CLASS_FILES:
                self._try(path, self._open_mask_classes)

    def label_of(self, photo: PhotoFiles, size: Size) -> FoundLabel | None:
        """The label of a photo, None where it has none.

        A mask goes before an annotation of the photo alone, and this before a file over many.
        Raises BadDataset or BadImage with the file's name in it.
        """
        if photo.mask:
            return self._mask(photo.mask, size)
        found = self.annotations_of(photo)
        if found is None:
            return None
        path, annotations, name = found
        return FoundLabel(path, annotations.label_map(name, size), annotations.class_names)

    def annotations_of(self, photo: PhotoFiles) -> tuple[str, AnnotationFile, str] | None:
        """The annotation file of a photo: its path, its content, and the photo's name in it.

        Raises BadDataset where it can't be read. Masks are no annotation files.
        """
        if photo.text is None:
            return self._shared_for(photo)
        text = _decoded(self._read(photo.text), photo.text)
        names = self._names_for(photo.text)
        return photo.text, read_annotations(text, photo.text, names), photo.path

    def _try(self, path: str, work: Callable[[str], None]) -> None:
        try:
            work(path)
        except (BadDataset, BadImage) as error:
            self.faults.append(FileFault(path, str(error).removeprefix(f"{path}: ")))

    def _open_shared(self, path: str) -> None:
        self._shared[path] = read_annotations(_decoded(self._read(path), path), path)

    def _open_names(self, path: str) -> None:
        self._names[path] = read_names(_decoded(self._read(path), path), path)

    def _open_mask_classes(self, path: str) -> None:
        self._mask_classes[path] = class_names_in(_decoded(self._read(path), path), path)

    def _names_for(self, text_path: str) -> dict[int, str]:
        """The class names that hold for a YOLO file: of the nearest folder that has any."""
        for folder in folders_up(folder_of(text_path)):
            for path, names in self._names.items():
                if folder_of(path) == folder:
                    return names
        return {}

    def _shared_for(self, photo: PhotoFiles) -> tuple[str, AnnotationFile, str] | None:
        """The nearest file over many photos that lists this one; BadDataset where several do."""
        listing: dict[tuple[int, ...], list[str]] = {}
        for path, annotations in self._shared.items():
            if annotations.lists(_seen_from(path, photo)):
                far = distance(path, photo.path)
                if far is not None:
                    listing.setdefault(far, []).append(path)
        if not listing:
            return None
        path, *others = listing[min(listing)]
        if others:
            raise BadDataset(
                f"{photo.path}: {', '.join([path, *others][:SHOWN])} list this photo, and none of "
                "them is nearer; put each beside its photos, or name it after their folder"
            )
        annotations, name = self._shared[path], _seen_from(path, photo)
        annotations.place_of(name)  # BadDataset where it lists the photo more than once
        return path, annotations, name

    def _mask(self, path: str, size: Size) -> FoundLabel:
        raw = decode_label_map(self._read(path), max_pixels=max(size.area, MAX_PIXELS))
        found = Size(*raw.shape)
        if found != size:
            raise BadDataset(f"{path}: the mask is {found} but its photo is {size}")
        listed = nearest(MASK_CLASS_FILES, folder_of(path), set(self._mask_classes))
        if listed is None:
            names = self._project_classes
            table = np.full(256, IGNORE_ID, np.uint8)
            table[: len(names)] = np.arange(len(names))
            known = len(names)
        else:
            classes, lookup = classes_and_lookup(self._mask_classes[listed])
            names, table = classes.names, lookup.as_array()
            known = len(lookup.known)
        unknown = [int(value) for value in np.unique(raw) if known <= value < IGNORE_ID]
        if unknown:
            raise BadDataset(
                f"{path}: the mask has the values {unknown[:10]}, for which no class is named; "
                "name them in a _classes.csv beside the masks"
            )
        return FoundLabel(path, np.take(table, raw), tuple(names))


def _seen_from(file: str, photo: PhotoFiles) -> str:
    """The path of a photo from the folder of an annotation file where that is above it."""
    folder = folder_of(file)
    return photo.path.removeprefix(f"{folder}/") if folder else photo.path


def _decoded(data: bytes, path: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadDataset(f"{path} is no UTF-8 text ({error.reason} at {error.start})") from error
