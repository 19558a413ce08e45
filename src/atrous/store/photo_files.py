"""A photo as it was sent -> blobs and the facts that a row keeps."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import UInt8

from atrous.domain.geometry import Size
from atrous.images.decode import decode_image
from atrous.images.draw import encode_jpeg
from atrous.images.media_types import SUFFIXES, media_type
from atrous.store.blobs import Blobs

THUMB_SIDE = 256  # pixels of the longer side, at most
THUMB_QUALITY = 85
MAX_NAME = 300
SHARES = (("train", 70), ("valid", 90), ("test", 100))  # percent, summed up


@dataclass(frozen=True)
class PhotoFile:
    """A stored photo: digests of the file as it came and of its thumbnail."""

    digest: str
    thumb_digest: str
    media_type: str
    size_bytes: int
    size: Size  # upright


def store_photo(data: bytes, blobs: Blobs, *, max_pixels: int) -> PhotoFile:
    """Decode a whole photo, which refuses damaged ones as BadImage, and store it unchanged."""
    kind = media_type(data)
    pixels = decode_image(data, max_pixels=max_pixels)
    thumb = encode_jpeg(make_thumb(pixels), quality=THUMB_QUALITY)
    return PhotoFile(
        digest=blobs.put(data).digest,
        thumb_digest=blobs.put(thumb).digest,
        media_type=kind,
        size_bytes=len(data),
        size=Size(*pixels.shape[:2]),
    )


def make_thumb(
    pixels: UInt8[np.ndarray, "height width 3"],
) -> UInt8[np.ndarray, "thumb_height thumb_width 3"]:
    """Shrink an RGB photo to fit a square of THUMB_SIDE; smaller ones stay as they are."""
    height, width = pixels.shape[:2]
    scale = THUMB_SIDE / max(height, width)
    if scale >= 1:
        return pixels
    size = max(round(width * scale), 1), max(round(height * scale), 1)  # cv2 sizes: width first
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def plain_name(name: str, photo: PhotoFile) -> str:
    """The last part of the name that a client gave; without one, a name made of the content."""
    last = name.replace("\\", "/").rpartition("/")[2]
    cleaned = "".join(letter for letter in last if letter.isprintable()).strip(". ")[:MAX_NAME]
    return cleaned or f"{photo.digest[:12]}{SUFFIXES[photo.media_type]}"


def split_of_content(digest: str) -> str:
    """The split of a photo for which none was chosen: by its content, so always the same.

    >>> split_of_content("00000000" + "0" * 56), split_of_content("ffffffff" + "0" * 56)
    ('train', 'test')
    """
    percent = int(digest[:8], 16) * 100 >> 32
    return next(split for split, end in SHARES if percent < end)
