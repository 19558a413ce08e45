"""Small data sets in each format, written by Pillow alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

SavePhoto = Callable[..., Path]
SaveMask = Callable[..., Path]


@pytest.fixture
def save_photo() -> SavePhoto:
    """Writes a photo of noise that differs by `seed`."""

    def save(path: Path, *, height: int = 6, width: int = 8, seed: int | None = None) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        entropy = seed if seed is not None else list(str(path).encode())
        pixels = np.random.default_rng(entropy).integers(0, 256, (height, width, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(path)
        return path

    return save


@pytest.fixture
def save_mask() -> SaveMask:
    """Writes a greyscale mask, of these ids or of zeros."""

    def save(path: Path, ids: Any = None, *, height: int = 6, width: int = 8) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.zeros((height, width)) if ids is None else np.asarray(ids)
        Image.fromarray(pixels.astype(np.uint8)).save(path)
        return path

    return save


@pytest.fixture
def png_masks_root(tmp_path: Path, save_photo: SavePhoto, save_mask: SaveMask) -> Path:
    """Two photos in train, one each in valid and test; class 1 is a cat, in the top row."""
    root = tmp_path / "cats"
    ids = np.zeros((6, 8))
    ids[0] = 1
    for split, names in (("train", "ab"), ("valid", "c"), ("test", "d")):
        for name in names:
            save_photo(root / split / f"{name}.png")
            save_mask(root / split / f"{name}_mask.png", ids)
        (root / split / "_classes.csv").write_text("Pixel Value, Class\n0, background\n1, cat")
    return root


@pytest.fixture
def shared_data() -> Path:
    """The public data sets beside the project, where they are there."""
    folder = Path(__file__).parents[2] / "../shared/data"
    if not folder.is_dir():
        pytest.skip("no data sets beside the project")
    return folder
