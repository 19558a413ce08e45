"""Photos to send: seeded, with detail at every scale as real ones have."""

from pathlib import Path

import cv2
import numpy as np

from atrous.domain.geometry import Size
from serving.cases import photo_name

JPEG_QUALITY = 90
SHAPES = 40


def draw_photo(size: Size, seed: int = 0) -> np.ndarray:
    """Noise of every scale, stronger the coarser, and coloured shapes with sharp edges; RGB."""
    random = np.random.default_rng(seed)
    pixels = np.full((size.height, size.width, 3), 110, np.float32)
    side = max(size.height, size.width)
    cells = 2
    while cells < side:
        shape = (max(cells * size.height // side, 1), max(cells * size.width // side, 1), 3)
        noise = random.normal(0, 90 / cells**0.6, shape).astype(np.float32)
        pixels += cv2.resize(noise, (size.width, size.height), interpolation=cv2.INTER_CUBIC)
        cells *= 2
    for _ in range(SHAPES):
        center = (int(random.integers(size.width)), int(random.integers(size.height)))
        axes = tuple(int(random.integers(side // 60 + 2, side // 12 + 4)) for _ in range(2))
        angle = float(random.uniform(0, 180))
        colour = tuple(float(value) for value in random.uniform(0, 255, 3))
        cv2.ellipse(pixels, center, axes, angle, 0, 360, colour, -1, cv2.LINE_AA)
    pixels += random.normal(0, 2, pixels.shape).astype(np.float32)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def photo_file(folder: Path, size: Size) -> Path:
    """The JPEG of a size in `folder`, drawn where it is not there yet."""
    path = folder / f"{photo_name(size)}.jpg"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        pixels = cv2.cvtColor(draw_photo(size), cv2.COLOR_RGB2BGR)
        encoded, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        assert encoded
        path.write_bytes(data.tobytes())
    return path
