import numpy as np
import pytest
from PIL import Image, ImageOps

from atrous.domain.geometry import Size
from atrous.images.orientation import orient, oriented_size, read_orientation


def exif_of(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orient_agrees_with_pillow(orientation: int) -> None:
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    photo = Image.fromarray(pixels)
    photo.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(photo))
    turned = orient(pixels, orientation)
    assert np.array_equal(turned, expected)
    assert turned.flags.c_contiguous
    assert oriented_size(Size(2, 3), orientation) == Size(*expected.shape[:2])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_read_orientation_of_pillows_exif(orientation: int) -> None:
    assert read_orientation(exif_of(orientation)) == orientation


def test_read_orientation_big_endian() -> None:
    tiff = b"MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"
    assert read_orientation(b"Exif\x00\x00" + tiff) == 6


@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"Exif\x00\x00",
        b"junk" * 9,
        exif_of(9),
        exif_of(0),
        exif_of(6)[:-8],
        b"II*\x00\xff\xff\xff\xff",
    ],
)
def test_damaged_exif_is_upright(exif: bytes) -> None:
    assert read_orientation(exif) == 1
