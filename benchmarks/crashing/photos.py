"""Photos of noise with labels of three classes."""

import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image

CLASSES = ("background", "road", "tree")
SIZE = (32, 48)  # height, width


def draw_photo(draw: np.random.Generator) -> UInt8[np.ndarray, "height width 3"]:
    """Noise, so that no two photos are the same."""
    return draw.integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def draw_label(draw: np.random.Generator) -> UInt8[np.ndarray, "height width"]:
    """A road at the left, and at the right trees that begin anywhere."""
    label = np.zeros(SIZE, np.uint8)
    label[: SIZE[0] // 2, : SIZE[1] // 2] = 1
    label[draw.integers(0, SIZE[0]) :, SIZE[1] // 2 :] = 2
    return label


def as_png(pixels: UInt8[np.ndarray, "..."]) -> bytes:
    """Encode without loss."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
