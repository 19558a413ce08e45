"""The demo data set: circles, squares and triangles on textured backgrounds, drawn by chance."""

import math
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from atrous.domain.errors import Conflict
from atrous.domain.geometry import Size
from atrous.images.draw import encode_jpeg
from atrous.masks.png import encode_label_map

CLASS_NAMES = ("background", "circle", "square", "triangle")
IMAGES = {"train": 240, "valid": 40, "test": 40}
SIDES = (160, 192)  # shortest and longest side of a picture in pixels, where no size is given
JPEG_QUALITY = 92
MOST_SHAPES = 4
RADII = (0.17, 0.30)  # of the circle around a shape, as a share of the picture's shorter side
LEAST_VISIBLE = 0.65  # share of a shape that later ones and the border leave to be seen
SAMPLES = 4  # a pixel's coverage is measured at SAMPLES x SAMPLES points


@dataclass(frozen=True)
class Shape:
    """One drawn object, in pixels from the top left corner."""

    class_id: int
    x: float
    y: float
    radius: float  # of the circle, or of the circle through the corners
    angle: float  # in radians

    def coverage(self, size: Size) -> Float32[np.ndarray, "height width"]:
        """The share (0..1) of each pixel that the shape covers, measured at 4 x 4 points."""
        top, bottom = _span(self.y, self.radius, size.height)
        left, right = _span(self.x, self.radius, size.width)
        steps = (np.arange(SAMPLES, dtype=np.float32) + 0.5) / SAMPLES
        across = (np.arange(left, right, dtype=np.float32)[:, None] + steps).ravel() - self.x
        down = (np.arange(top, bottom, dtype=np.float32)[:, None] + steps).ravel() - self.y
        inside = self._contains(across[None, :], down[:, None])
        blocks = inside.reshape(bottom - top, SAMPLES, right - left, SAMPLES)
        coverage = np.zeros((size.height, size.width), dtype=np.float32)
        coverage[top:bottom, left:right] = blocks.mean(axis=(1, 3), dtype=np.float32)
        return coverage

    def _contains(self, across: np.ndarray, down: np.ndarray) -> np.ndarray:
        if CLASS_NAMES[self.class_id] == "circle":
            inside: np.ndarray = across**2 + down**2 <= self.radius**2
            return inside
        sides = {"square": 4, "triangle": 3}[CLASS_NAMES[self.class_id]]
        # a regular polygon is the points within its inradius along every side's normal
        inradius = self.radius * math.cos(math.pi / sides)
        inside = np.ones(np.broadcast_shapes(across.shape, down.shape), dtype=bool)
        for side in range(sides):
            normal = self.angle + side * 2 * math.pi / sides
            inside &= across * math.cos(normal) + down * math.sin(normal) <= inradius
        return inside


def write_shapes_dataset(
    folder: Path,
    *,
    images: Mapping[str, int] | None = None,
    size: Size | None = None,
    seed: int = 0,
) -> Path:
    """Draw the demo set as `png-mask-semantic` into a folder, which appears when it is complete.

    images: pictures per split (default: 240 train, 40 valid, 40 test); size: of every picture
    (default: each side 160..192 by chance). The same seed draws the same pictures. Raises Conflict
    where the folder holds something.
    """
    if folder.exists() and any(folder.iterdir()):
        raise Conflict(f"{folder} holds something already; name a new folder, or empty this one")
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        number = 0
        for split, count in (images or IMAGES).items():
            (unfinished / split).mkdir()
            _write_classes(unfinished / split)
            for _ in range(count):
                _write_picture(unfinished / split, number, size, seed)
                number += 1
        unfinished.chmod(0o755)
        os.replace(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def draw_picture(
    rng: np.random.Generator, size: Size
) -> tuple[UInt8[np.ndarray, "height width 3"], UInt8[np.ndarray, "height width"]]:
    """One picture (RGB) and its label map: 1 to 5 shapes, later ones on top.

    A pixel belongs to the topmost shape that covers half of it or more.
    """
    canvas = _background(rng, size)
    label_map = np.zeros((size.height, size.width), dtype=np.uint8)
    for coverage, class_id in _arrange(rng, size):
        canvas = _paint(rng, canvas, coverage)
        label_map[coverage >= 0.5] = class_id
    canvas += rng.normal(0.0, 0.012, canvas.shape).astype(np.float32)  # grain, as of a sensor
    return (np.clip(canvas, 0, 1) * 255).round().astype(np.uint8), label_map


def _write_classes(folder: Path) -> None:
    rows = [f"{value}, {name}" for value, name in enumerate(CLASS_NAMES)]
    (folder / "_classes.csv").write_text("\n".join(["Pixel Value, Class", *rows]))


def _write_picture(folder: Path, number: int, size: Size | None, seed: int) -> None:
    rng = np.random.default_rng([seed, number])
    height, width = (int(side) for side in rng.integers(SIDES[0], SIDES[1], 2, endpoint=True))
    image, label_map = draw_picture(rng, size or Size(height, width))
    (folder / f"shapes_{number:04}.jpg").write_bytes(encode_jpeg(image, quality=JPEG_QUALITY))
    (folder / f"shapes_{number:04}_mask.png").write_bytes(encode_label_map(label_map))


def _arrange(
    rng: np.random.Generator, size: Size
) -> list[tuple[Float32[np.ndarray, "height width"], int]]:
    """Coverage and class of each shape, so that enough of every one can be seen."""
    placed: list[tuple[Float32[np.ndarray, "height width"], int, float]] = []
    wanted = int(rng.integers(1, MOST_SHAPES, endpoint=True))
    for _ in range(10 * wanted):
        shape = _random_shape(rng, size)
        coverage = shape.coverage(size)
        whole = _area(shape)
        candidates = [*placed, (coverage, shape.class_id, whole)]
        if _all_visible(candidates):
            placed = candidates
        if len(placed) == wanted:
            break
    return [(coverage, class_id) for coverage, class_id, _ in placed]


def _all_visible(shapes: list[tuple[Float32[np.ndarray, "height width"], int, float]]) -> bool:
    free = np.ones_like(shapes[0][0])
    for coverage, _, area in reversed(shapes):  # from the top down
        if float((coverage * free).sum()) < LEAST_VISIBLE * area:
            return False
        free = free * (1 - coverage)
    return True


def _random_shape(rng: np.random.Generator, size: Size) -> Shape:
    class_id = int(rng.integers(1, len(CLASS_NAMES)))
    radius = float(rng.uniform(*RADII)) * min(size.height, size.width)
    if CLASS_NAMES[class_id] == "circle":
        radius *= 0.85  # so that the classes come out about equally large
    return Shape(
        class_id=class_id,
        x=float(rng.uniform(0.08, 0.92)) * size.width,
        y=float(rng.uniform(0.08, 0.92)) * size.height,
        radius=radius,
        angle=float(rng.uniform(0, 2 * math.pi)),
    )


def _span(center: float, radius: float, length: int) -> tuple[int, int]:
    """First pixel and last pixel + 1 of the shape along one side of the picture."""
    return max(math.floor(center - radius), 0), min(math.ceil(center + radius), length)


def _area(shape: Shape) -> float:
    """Pixels of the whole shape, the part beyond the border included."""
    name = CLASS_NAMES[shape.class_id]
    factor = {"circle": math.pi, "square": 2.0, "triangle": 0.75 * math.sqrt(3)}[name]
    return factor * shape.radius**2


def _paint(
    rng: np.random.Generator,
    canvas: Float32[np.ndarray, "height width 3"],
    coverage: Float32[np.ndarray, "height width"],
) -> Float32[np.ndarray, "height width 3"]:
    """Lay a shaded, slightly mottled colour over the canvas, with a soft shadow around it."""
    size = Size(*coverage.shape)
    shadow = cv2.GaussianBlur(coverage, (0, 0), sigmaX=4.0)
    shifted = np.pad(shadow, ((3, 0), (2, 0)))[: size.height, : size.width]
    canvas = canvas * (1 - 0.35 * shifted[..., None])
    color = _color(rng, saturation=(0.55, 1.0), value=(0.55, 1.0))
    light = 1 + 0.22 * _slope(rng, size) + 0.10 * _noise(rng, size, cell=12)
    painted = np.clip(color * light[..., None], 0, 1)
    mixed: Float32[np.ndarray, "height width 3"] = canvas + (painted - canvas) * coverage[..., None]
    return mixed


def _background(rng: np.random.Generator, size: Size) -> Float32[np.ndarray, "height width 3"]:
    """A muted gradient under noise at three scales, on every other picture with stripes."""
    start, end = (_color(rng, saturation=(0.05, 0.4), value=(0.25, 0.85)) for _ in range(2))
    share = ((_slope(rng, size) + 1) / 2)[..., None]
    canvas = start * (1 - share) + end * share
    for cell, strength in ((48, 0.10), (14, 0.07), (3, 0.05)):
        canvas = canvas + float(rng.uniform(0.3, 1)) * strength * _noise(rng, size, cell)[..., None]
    if rng.random() < 0.5:
        period = float(rng.uniform(8, 30))
        across = _slope(rng, size) * max(size.height, size.width) / 2
        stripes = np.tanh(2 * np.sin(2 * math.pi * across / period))
        canvas = canvas + float(rng.uniform(0.04, 0.10)) * stripes[..., None]
    return np.clip(canvas, 0, 1).astype(np.float32)


def _slope(rng: np.random.Generator, size: Size) -> Float32[np.ndarray, "height width"]:
    """Rises evenly in a random direction, about -1 at one border to 1 at the other."""
    angle = float(rng.uniform(0, 2 * math.pi))
    across = np.linspace(-1, 1, size.width, dtype=np.float32) * math.cos(angle)
    down = np.linspace(-1, 1, size.height, dtype=np.float32) * math.sin(angle)
    return (across[None, :] + down[:, None]).astype(np.float32)


def _noise(rng: np.random.Generator, size: Size, cell: int) -> Float32[np.ndarray, "height width"]:
    """Smooth noise around 0, about -1..1, whose spots are `cell` pixels wide."""
    rows, columns = size.height // cell + 2, size.width // cell + 2
    grid = rng.normal(0.0, 0.5, (rows, columns)).astype(np.float32)
    # cv2 sizes are width first
    grown = cv2.resize(grid, (size.width, size.height), interpolation=cv2.INTER_CUBIC)
    return grown.astype(np.float32)


def _color(
    rng: np.random.Generator, *, saturation: tuple[float, float], value: tuple[float, float]
) -> Float32[np.ndarray, "3"]:
    """A random colour as RGB, 0..1."""
    hsv = np.array(
        [[[rng.uniform(0, 360), rng.uniform(*saturation), rng.uniform(*value)]]], dtype=np.float32
    )
    rgb = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    return np.asarray(rgb[0, 0], dtype=np.float32)
