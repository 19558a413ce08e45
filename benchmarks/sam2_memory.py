"""Resident memory of a server while photos that all differ go through it."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from sam2_server import SamServer
from serving.photos import JPEG_QUALITY, draw_photo

from atrous.domain.geometry import Size

WARM_UP_SHARE = 0.25  # of the photos: until then caches and engines may grow
SAMPLES = 80


@dataclass(frozen=True)
class Memory:
    """What a server took while photos went through it."""

    photos: int
    resident_mib: list[tuple[int, float]]  # photos so far, memory then
    mib_per_1000_photos: float  # slope of a straight line after the warm-up
    least_mib: float  # after the warm-up
    most_mib: float


def measure_memory(server: SamServer, variant: str, photos: int, size: Size) -> Memory:
    """Embed `photos` photos, each under a name of its own, and click once in each by its name."""
    picture = draw_photo(size)
    marks: list[tuple[int, float]] = []
    client = server.connect()
    for index in range(photos):
        named = {"sam2_version_id": variant, "image_id": f"photo {index}"}
        image = {"type": "base64", "value": as_jpeg(turned_into_another(picture, index))}
        client.post("/sam2/embed_image", {**named, "image": image})
        place = {"x": size.width / 2, "y": size.height / 2, "positive": True}
        client.post("/sam2/segment_image", {**named, "prompts": [{"points": [place]}]})
        resident = server.resident_mib()
        if resident is not None and index % max(1, photos // SAMPLES) == 0:
            marks.append((index + 1, resident))
    client.close()
    steady = [mark for mark in marks if mark[0] > WARM_UP_SHARE * photos]
    return Memory(
        photos=photos,
        resident_mib=marks,
        mib_per_1000_photos=1000 * slope(steady),
        least_mib=min((mib for _, mib in steady), default=0.0),
        most_mib=max((mib for _, mib in steady), default=0.0),
    )


def slope(marks: Sequence[tuple[int, float]]) -> float:
    """The rise per photo of the straight line that fits best.

    >>> round(slope([(10, 500.0), (20, 510.0), (30, 520.0)]), 6)
    1.0
    """
    if len(marks) < 2:
        return 0.0
    photos, mib = np.array(marks, float).T
    return float(np.polyfit(photos, mib, 1)[0])


def turned_into_another(picture: np.ndarray, index: int) -> np.ndarray:
    """The picture rolled round and recoloured: no two within millions are the same file."""
    rolled = np.roll(picture, (31 * index, 17 * index), axis=(0, 1))
    rolled[:16, :16] = [index % 256, index // 256 % 256, index // 65536]
    return rolled


def as_jpeg(pixels: np.ndarray) -> str:
    """Base64 of a JPEG, as cameras' photos come."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    encoded, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), quality)
    assert encoded
    return base64.b64encode(data.tobytes()).decode()
