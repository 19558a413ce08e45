"""EXIF orientation: which way up a photo is meant to be seen."""

import struct

import numpy as np
from jaxtyping import UInt8

from atrous.domain.geometry import Size

UPRIGHT = 1
ORIENTATION_TAG = 0x0112
UNSIGNED_SHORT = 3  # the EXIF type of the tag's value


def read_orientation(exif: bytes) -> int:
    """The orientation (1..8) that an EXIF block gives; 1 where it is absent or makes no sense.

    EXIF 2.32, 4.6.4: tag 0x0112 of the first directory. Damaged EXIF never spoils a photo.
    """
    tiff = exif.removeprefix(b"Exif\x00\x00")
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return UPRIGHT
    try:
        (directory,) = struct.unpack_from(order + "I", tiff, 4)
        (entries,) = struct.unpack_from(order + "H", tiff, directory)
        for index in range(entries):
            tag, kind, _, value = struct.unpack_from(
                order + "HHIH", tiff, directory + 2 + 12 * index
            )
            if tag == ORIENTATION_TAG:
                return value if kind == UNSIGNED_SHORT and 1 <= value <= 8 else UPRIGHT
    except struct.error:
        return UPRIGHT
    return UPRIGHT


def oriented_size(size: Size, orientation: int) -> Size:
    """The size after `orient`: orientations 5..8 swap height and width."""
    return Size(size.width, size.height) if orientation >= 5 else size


def orient(
    image: UInt8[np.ndarray, "height width 3"], orientation: int
) -> UInt8[np.ndarray, "height2 width2 3"]:
    """Turn or mirror the pixels so that the photo stands upright; always contiguous."""
    if orientation >= 5:
        image = image.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return np.ascontiguousarray(image)
