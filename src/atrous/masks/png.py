"""Label maps and confidences as 8-bit greyscale PNG, whose pixel values are class ids."""

import io
import struct
import zlib

import numpy as np
from isal import isal_zlib
from jaxtyping import Float32, UInt8
from PIL.PngImagePlugin import PngImageFile

from atrous.domain.errors import BadImage

MAX_PIXELS = 100_000_000
SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, PALETTE = 0, 3  # PNG colour types that hold one number per pixel
FILTER_UP = 2  # each row as differences from the row above: of the simple filters the best here
LEVEL = 1  # of ISA-L: 0 is no faster, 2 no smaller


def encode_label_map(label_map: UInt8[np.ndarray, "height width"]) -> bytes:
    """Write class ids as a greyscale PNG; never a palette, whose colours readers would expand."""
    return _encode_grey(label_map)


def encode_confidence(confidence: Float32[np.ndarray, "height width"]) -> bytes:
    """Write probabilities 0..1 as a greyscale PNG of floor(confidence * 255)."""
    levels = np.empty(confidence.shape, np.uint8)
    np.multiply(confidence, 255, out=levels, casting="unsafe")  # blockwise: no second float map
    return _encode_grey(levels)


def decode_label_map(data: bytes) -> UInt8[np.ndarray, "height width"]:
    """Read the ids of a greyscale or palette PNG of up to 8 bits.

    Colour, alpha and 16-bit PNGs, other formats, truncated data and more than MAX_PIXELS raise
    BadImage.
    """
    bit_depth, colour_type = _read_header(data)
    if colour_type not in (GREY, PALETTE) or bit_depth > 8:
        raise BadImage(
            f"the label PNG has colour type {colour_type} and {bit_depth} bits; expected one "
            "class id per pixel: save it as 8-bit greyscale"
        )
    _refuse_cut_off(data)
    try:
        # not Image.open: its own pixel limit only warns, and it would try every other format
        with PngImageFile(io.BytesIO(data)) as image:
            pixels = np.array(image, dtype=np.uint8)
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as error:
        raise BadImage(f"the label PNG can't be decoded ({error}); write it anew") from error
    if colour_type == GREY and 1 < bit_depth < 8:
        pixels //= 255 // (2**bit_depth - 1)  # Pillow stretches 2 and 4 bits to 0..255
    return pixels


def _read_header(data: bytes) -> tuple[int, int]:
    """Bit depth and colour type, from the IHDR chunk that every PNG starts with."""
    if not data.startswith(SIGNATURE) or data[12:16] != b"IHDR" or len(data) < 33:
        raise BadImage(
            f"a label file of {len(data)} bytes is not a PNG; labels must be PNG, "
            "as lossy formats change class ids"
        )
    width, height, bit_depth, colour_type = struct.unpack(">IIBB", data[16:26])
    if width * height > MAX_PIXELS:
        raise BadImage(
            f"the label PNG is {width}x{height}, more than {MAX_PIXELS} pixels; cut it into tiles"
        )
    return bit_depth, colour_type


def _refuse_cut_off(data: bytes) -> None:
    """Walk the chunks to IEND: Pillow gives what is missing at the end of the pixels as zeros."""
    start = len(SIGNATURE)
    while start + 12 <= len(data):
        length, kind = struct.unpack(">I4s", data[start : start + 8])
        start += 12 + length
        if kind == b"IEND" and start <= len(data):
            return
    raise BadImage(f"the label PNG is cut off after {len(data)} bytes; copy it anew")


def _encode_grey(pixels: UInt8[np.ndarray, "height width"]) -> bytes:
    """Write a PNG in a tenth of the time that Pillow takes, about as small."""
    height, width = pixels.shape
    rows = np.empty((height, 1 + width), np.uint8)
    rows[:, 0] = FILTER_UP
    rows[0, 1:] = pixels[0]
    np.subtract(pixels[1:], pixels[:-1], out=rows[1:, 1:])  # modulo 256, as PNG wants it
    header = struct.pack(">IIBBBBB", width, height, 8, GREY, 0, 0, 0)
    pixel_data = isal_zlib.compress(rows.reshape(-1), LEVEL)
    return b"".join(
        [SIGNATURE, *_chunk(b"IHDR", header), *_chunk(b"IDAT", pixel_data), *_chunk(b"IEND", b"")]
    )


def _chunk(kind: bytes, body: bytes) -> tuple[bytes, bytes, bytes]:
    checksum = isal_zlib.crc32(body, isal_zlib.crc32(kind))
    return struct.pack(">I", len(body)) + kind, body, struct.pack(">I", checksum)
