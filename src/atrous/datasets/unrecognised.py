"""What lies in a folder in which no data set is recognised, in words that say what to change."""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from atrous.datasets.folders import SPLIT_LAYOUTS, WHOLE_LAYOUTS
from atrous.datasets.label_files import TEXT_SUFFIXES, is_junk
from atrous.datasets.png_masks import CLASSES_FILE, MASK_ENDING
from atrous.datasets.version import IMAGE_SUFFIXES, SPLIT_SPELLINGS

NAMED = 5  # folders, in one message
LOOKED_INTO = 50  # folders, for a data set of their own


def describe_unrecognised(root: Path, is_dataset: Callable[[Path], bool]) -> str:
    """The one thing about a folder that best explains why it is no data set.

    is_dataset: whether a folder is one.
    """
    inner = sorted(path for path in root.iterdir() if path.is_dir() and not is_junk(path.name))
    sets = [f"{path.name}/" for path in inner[:LOOKED_INTO] if is_dataset(path)]
    if len(sets) == 1:
        return f"a data set lies in {sets[0]}: name that folder"
    if sets:
        return f"data sets lie in {_listed(sets)}: name one of them"
    files = [
        path
        for folder, _, names in os.walk(root)
        for name in names
        if not is_junk(path := (Path(folder) / name).relative_to(root).as_posix())
    ]
    if misspelt := _in_capitals(files):
        return f"{_listed(misspelt)}: write them in lower case"
    masks = [path for path in files if path.endswith(f"{MASK_ENDING}.png")]
    if masks and not any(PurePosixPath(path).name == CLASSES_FILE for path in files):
        return f"{len(masks)} *{MASK_ENDING}.png but no {CLASSES_FILE} beside them"
    return _counted(files)


def _in_capitals(files: list[str]) -> list[str]:
    """Folders that would be known by their names if these were in lower case."""
    known = {
        part.replace("*", spelling)
        for layout in (*SPLIT_LAYOUTS, *WHOLE_LAYOUTS)
        for folder in layout
        for part in folder.split("/")
        for spellings in SPLIT_SPELLINGS.values()
        for spelling in spellings
    }
    parts = {part for path in files for part in PurePosixPath(path).parts[:-1]}
    return sorted(part for part in parts - known if part.lower() in known)


def _counted(files: list[str]) -> str:
    """Pictures by folder, and what may be their labels."""
    suffixes = [PurePosixPath(path).suffix.lower() for path in files]
    labels = Counter(suffix for suffix in suffixes if suffix in TEXT_SUFFIXES)
    folders = Counter(
        PurePosixPath(path).parent.as_posix()
        for path, suffix in zip(files, suffixes, strict=True)
        if suffix in IMAGE_SUFFIXES
    )
    if not folders:
        return "there are no pictures in it"
    pictures = f"{folders.total()} pictures"
    if list(folders) != ["."]:
        pictures += f" in {_listed([f'{folder}/' for folder in sorted(folders)])}"
    if not labels:
        return f"{pictures} and no labels"
    others = " and ".join(f"{count} *{suffix}" for suffix, count in sorted(labels.items()))
    return f"{pictures} and {others}, which are no labels of theirs that can be read"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")
