"""Photos with a label in each format, and a data set of PNG masks, as clients upload them."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (64, 96)  # height, width
BLOCK = [[0, 0], [48, 0], [48, 32], [0, 32]]  # the upper left quarter of a photo
POINTS = "".join(f"<x{n}>{x}</x{n}><y{n}>{y}</y{n}>" for n, (x, y) in enumerate(BLOCK))
ANNOTATIONS = {  # the quarter is a tree; the last shows nothing
    "0.xml": f"<annotation><object><name>tree</name><polygon>{POINTS}</polygon></object>"
    "</annotation>",
    "1.xml": "<annotations><image name='1.png'><polygon label='tree' "
    "points='0,0;48,0;48,32;0,32'/></image></annotations>",
    "2.json": json.dumps({"shapes": [{"label": "tree", "points": BLOCK}]}),
    "3.txt": "1 0 0 0.5 0 0.5 0.5 0 0.5",
    "4.txt": "",
}
CLASSES = "Pixel Value, Class\n0, background\n1, road\n2, tree"


def quarter_of(number: int, value: int) -> np.ndarray:
    """The label map of the annotation of this number."""
    label_map = np.zeros(SIZE, np.uint8)
    if number < 4:
        label_map[:32, :48] = value
    return label_map


def write_labels(folder: Path) -> None:
    """A photo for each annotation, and the names of YOLO's classes."""
    folder.mkdir()
    for name, text in {**ANNOTATIONS, "data.yaml": "names: [road, tree]"}.items():
        (folder / name).write_text(text)
    for number in range(len(ANNOTATIONS)):
        write_noise(folder / f"{number}.png", number)


def write_masks(
    folder: Path, splits: dict[str, tuple[int, ...]], mask_of: Callable[[int], np.ndarray]
) -> None:
    """A data set of PNG masks, and one photo that is broken."""
    for split, numbers in splits.items():
        (folder / split).mkdir(parents=True)
        (folder / split / "_classes.csv").write_text(CLASSES)
        for number in numbers:
            write_noise(folder / split / f"{number}.png", number)
            Image.fromarray(mask_of(number)).save(folder / split / f"{number}_mask.png")
    (folder / "train" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut off")


def write_noise(path: Path, number: int) -> None:
    """A photo that no other number has."""
    pixels = np.random.default_rng(number).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
