"""Which file holds the label of which photo, by the paths of a data set alone.

Works on the names in a zip as on those in a folder; `/` parts them, and none leads out of the set.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from atrous.datasets.coco import FILES_BESIDE_IMAGES
from atrous.datasets.png_masks import CLASSES_FILE
from atrous.datasets.version import IMAGE_SUFFIXES, SPLIT_SPELLINGS

TEXT_SUFFIXES = (".txt", ".xml", ".json")  # of a label with its photo's stem
PHOTO_FOLDERS = ("images", "JPEGImages", "img_dir")
LABEL_FOLDERS = (
    "labels",
    "masks",
    "annotations",
    "Annotations",
    "SegmentationClass",
    "ann_dir",
)
LABEL_FOLDER_ENDINGS = ("annot", "_labels", "_masks")  # behind the name of the photos' folder
MASK_ENDING = "_mask"  # of a mask beside its photo
MASK_ENDINGS = ("", MASK_ENDING, "_label")  # of a mask in a folder of its own
SPLIT_WORDS = {word: split for split, words in SPLIT_SPELLINGS.items() for word in words}
SPLIT_FOLDER = re.compile(rf"({'|'.join(SPLIT_WORDS)})\d*", re.IGNORECASE)
INSTANCES = "instances_"  # before the name of a split or folder, in files of COCO's format
WORD = re.compile(r"[^\W_]+")
JUNK = ("__MACOSX", "Thumbs.db", "desktop.ini")


@dataclass(frozen=True)
class PhotoFiles:
    """A photo, and the files that hold its label as their names say."""

    path: str
    mask: str | None = None  # a PNG of class numbers
    text: str | None = None  # an annotation of this photo alone

    @property
    def folder(self) -> str:
        """Where the photo lies; empty for the top."""
        return folder_of(self.path)

    @property
    def split(self) -> str | None:
        """The split that a folder is called by, the innermost one; None where none is."""
        return _split_in(PurePosixPath(self.folder).parts)


@dataclass(frozen=True)
class LabelFiles:
    """Every file of a data set in its place."""

    photos: tuple[PhotoFiles, ...]  # by path
    shared: tuple[str, ...]  # JSON and XML files of no single photo: perhaps of many
    lonely: tuple[str, ...]  # labels that lie where no photo has their name


def match_label_files(paths: Iterable[str]) -> LabelFiles:
    """Part the files of a set into photos, their labels, and files over many photos."""
    there = sorted(path for path in paths if not is_junk(path))
    known = set(there)
    images = [path for path in there if PurePosixPath(path).suffix.lower() in IMAGE_SUFFIXES]
    class_folders = {folder_of(path) for path in there if path.endswith(CLASSES_FILE)}
    label_folders = set(_label_folders({folder_of(path) for path in images}, there))

    photos: list[PhotoFiles] = []
    used: set[str] = set()
    for path in images:
        if folder_of(path) in label_folders or _is_mask_beside(path, known, class_folders):
            continue
        photo = PhotoFiles(path, _mask_of(path, known), _text_of(path, known))
        photos.append(photo)
        used.update(file for file in (photo.mask, photo.text) if file)
    taken = used | {photo.path for photo in photos}
    shared = [p for p in there if p not in taken and p.lower().endswith((".json", ".xml"))]
    lonely = [path for path in images if path not in taken]
    return LabelFiles(tuple(photos), tuple(shared), tuple(lonely))


def is_junk(path: str) -> bool:
    """Whether a file is hidden, or one that systems leave behind.

    >>> is_junk("a/.DS_Store"), is_junk("__MACOSX/a.jpg"), is_junk("a/b.jpg")
    (True, True, False)
    """
    parts = PurePosixPath(path).parts
    return any(part in JUNK or part.startswith(".") for part in parts)


def folder_of(path: str) -> str:
    """The folder of a path; empty for the top."""
    return path.rpartition("/")[0]


def folders_up(folder: str) -> Iterator[str]:
    """A folder and all above it, the top being empty.

    >>> list(folders_up("a/b"))
    ['a/b', 'a', '']
    """
    yield folder
    while folder:
        folder = folder_of(folder)
        yield folder


def nearest(names: Sequence[str], folder: str, there: set[str]) -> str | None:
    """The first of these files that lies in a folder or, else, in one above it."""
    for place in folders_up(folder):
        for name in names:
            path = _path_in(place, name)
            if path in there:
                return path
    return None


def distance(file: str, photo: str) -> tuple[int, ...] | None:
    """How far a file over many photos is from one of them; None where it is of another split.

    Least is nearest: in the photo's folder or above it, before others; then by folders on the way
    up; then by name, as `open_coco` takes it: that of the photo's folder or split.

    >>> distance("annotations/instances_val2017.json", "train2017/1.jpg") is None
    True
    """
    file_parts, photo_parts = file.split("/"), photo.split("/")
    common = _common_start(file_parts[:-1], photo_parts[:-1])
    *way_down, name = file_parts[common:]
    way_up = photo_parts[common:-1]
    own_split, splits = _split_in(way_up), _splits_of(way_down, name)
    if own_split and splits and own_split not in splits:
        return None
    called = {*way_down, PurePosixPath(name).stem.removeprefix(INSTANCES)}
    own = set(way_up).difference(PHOTO_FOLDERS)
    if own & called or (own_split and own_split in {_split_in((part,)) for part in called}):
        strangeness = 0
    elif own & set(WORD.findall(name)) or own_split in splits:
        strangeness = 1
    else:
        strangeness = 2
    return (bool(way_down), len(way_up), strangeness, len(way_down), _place_of_name(name))


def _label_folders(photo_folders: set[str], there: list[str]) -> Iterator[str]:
    """Folders that hold labels because another one holds the photos of the same names."""
    folders = {folder_of(path) for path in there}
    for folder in photo_folders:
        yield from (beside for beside in _folders_beside(folder) if beside in folders)


def _folders_beside(folder: str) -> Iterator[str]:
    """Where the labels of a folder of photos may lie."""
    parts = folder.split("/")
    for place, part in enumerate(parts):
        if part in PHOTO_FOLDERS:
            for name in LABEL_FOLDERS:
                yield "/".join([*parts[:place], name, *parts[place + 1 :]])
    if SPLIT_FOLDER.fullmatch(parts[-1]):
        yield from (folder + ending for ending in LABEL_FOLDER_ENDINGS)


def _is_mask_beside(path: str, known: set[str], class_folders: set[str]) -> bool:
    stem = PurePosixPath(path).stem
    if not path.lower().endswith(".png") or not stem.endswith(MASK_ENDING):
        return False
    photo = _path_in(folder_of(path), stem.removesuffix(MASK_ENDING))
    endings = IMAGE_SUFFIXES | {suffix.upper() for suffix in IMAGE_SUFFIXES}
    return folder_of(path) in class_folders or any(photo + end in known for end in endings)


def _mask_of(path: str, known: set[str]) -> str | None:
    folder, stem = folder_of(path), PurePosixPath(path).stem
    beside = _path_in(folder, f"{stem}{MASK_ENDING}.png")
    if beside in known:
        return beside
    candidates = (
        f"{place}/{stem}{ending}.png"
        for place in _folders_beside(folder)
        for ending in MASK_ENDINGS
    )
    return next((candidate for candidate in candidates if candidate in known), None)


def _text_of(path: str, known: set[str]) -> str | None:
    folder, stem = folder_of(path), PurePosixPath(path).stem
    for place in (folder, *_folders_beside(folder)):
        for suffix in TEXT_SUFFIXES:
            candidate = _path_in(place, f"{stem}{suffix}")
            if candidate in known:
                return candidate
    return None


def _path_in(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _common_start(some: Sequence[str], others: Sequence[str]) -> int:
    """How many parts are the same, from the first on."""
    pairs = zip(some, others, strict=False)
    return next(
        (n for n, (one, other) in enumerate(pairs) if one != other), min(len(some), len(others))
    )


def _split_in(parts: Sequence[str]) -> str | None:
    """The split that a part is called by, the last one; None where none is."""
    for part in reversed(parts):
        match = SPLIT_FOLDER.fullmatch(part)
        if match:
            return SPLIT_WORDS[match[1].lower()]
    return None


def _splits_of(folders: Sequence[str], name: str) -> set[str]:
    """The splits that words of a file's name say, or else its folders."""
    words = WORD.findall(PurePosixPath(name).stem)
    in_name = {split for word in words if (split := _split_in((word,)))}
    in_folders = _split_in(folders)
    return in_name or ({in_folders} if in_folders else set())


def _place_of_name(name: str) -> int:
    """Files beside photos in the order in which COCO's are taken, then those of instances."""
    if name in FILES_BESIDE_IMAGES:
        return FILES_BESIDE_IMAGES.index(name)
    return len(FILES_BESIDE_IMAGES) + (not name.startswith(INSTANCES))
