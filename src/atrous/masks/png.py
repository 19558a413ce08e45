"""Label maps and confidences as 8-bit greyscale PNG, whose pixel values are class ids."""

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from isal import isal_zlib
from jaxtyping import Float32, UInt8
from PIL.PngImagePlugin import PngImageFile

from atrous.domain.errors import BadImage
from atrous.domain.geometry import Size
from atrous.masks.shared_work import share

MAX_PIXELS = 100_000_000
SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, PALETTE = 0, 3  # PNG colour types that hold one number per pixel
FILTER_UP = 2  # each row as differences from the row above: of the simple filters the best here
LEVEL = 1  # of ISA-L: 0 is no faster, 2 no smaller
BAND_PIXELS = 1 << 19  # of a mask that are compressed by themselves
RAW_DEFLATE = -zlib.MAX_WBITS
ZLIB_HEADER = b"\x78\x01"  # the usual window, fast compression (RFC 1950)
ADLER = 65521  # the prime of zlib's checksum

Read = Callable[[slice], UInt8[np.ndarray, "rows width"]]  # some rows of a mask


def encode_label_map(label_map: UInt8[np.ndarray, "height width"]) -> bytes:
    """Write class ids as a greyscale PNG; never a palette, whose colours readers would expand."""
    return _encode_grey(label_map)


def encode_confidence(confidence: Float32[np.ndarray, "height width"]) -> bytes:
    """Write probabilities 0..1 as a greyscale PNG of floor(confidence * 255)."""
    return _encode_grey(_levels(confidence))


def encode_masks(
    label_map: UInt8[np.ndarray, "height width"], confidence: Float32[np.ndarray, "height width"]
) -> tuple[bytes, bytes]:
    """`encode_label_map` and `encode_confidence` by all cores: the same pixels in other bytes."""
    height, width = label_map.shape
    step = max(BAND_PIXELS // width, 1)
    if height <= step:
        return encode_label_map(label_map), encode_confidence(confidence)
    bands = [slice(top, min(top + step, height)) for top in range(0, height, step)]
    reads = (partial(_levels_of, confidence), label_map.__getitem__)  # the first takes longer
    compressed = share([partial(_compress_band, read, band) for read in reads for band in bands])
    size, levels, labels = (height, width), compressed[: len(bands)], compressed[len(bands) :]
    return _file(size, _joined(labels)), _file(size, _joined(levels))


def decode_label_map(
    data: bytes, *, max_pixels: int = MAX_PIXELS
) -> UInt8[np.ndarray, "height width"]:
    """Read the ids of a greyscale or palette PNG of up to 8 bits.

    Colour, alpha and 16-bit PNGs, other formats, truncated data and more than `max_pixels` raise
    BadImage.
    """
    _, bit_depth, colour_type = _read_header(data, max_pixels)
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


def label_map_size(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Size:
    """Read the size of a PNG from its header alone; BadImage for another file or a larger one."""
    return _read_header(data, max_pixels)[0]


def _read_header(data: bytes, max_pixels: int) -> tuple[Size, int, int]:
    """Size, bit depth and colour type, from the IHDR chunk that every PNG starts with."""
    if not data.startswith(SIGNATURE) or data[12:16] != b"IHDR" or len(data) < 33:
        raise BadImage(
            f"a label file of {len(data)} bytes is not a PNG; labels must be PNG, "
            "as lossy formats change class ids"
        )
    width, height, bit_depth, colour_type = struct.unpack(">IIBB", data[16:26])
    if width * height > max_pixels:
        raise BadImage(
            f"the label PNG is {width}x{height}, more than {max_pixels} pixels; cut it into tiles"
        )
    return Size(height, width), bit_depth, colour_type


def _refuse_cut_off(data: bytes) -> None:
    """Walk the chunks to IEND: Pillow gives what is missing at the end of the pixels as zeros."""
    start = len(SIGNATURE)
    while start + 12 <= len(data):
        length, kind = struct.unpack(">I4s", data[start : start + 8])
        start += 12 + length
        if kind == b"IEND" and start <= len(data):
            return
    raise BadImage(f"the label PNG is cut off after {len(data)} bytes; copy it anew")


def _levels(confidence: Float32[np.ndarray, "rows width"]) -> UInt8[np.ndarray, "rows width"]:
    levels = np.empty(confidence.shape, np.uint8)
    np.multiply(confidence, 255, out=levels, casting="unsafe")  # blockwise: no second float map
    return levels


def _levels_of(
    confidence: Float32[np.ndarray, "height width"], rows: slice
) -> UInt8[np.ndarray, "rows width"]:
    return _levels(confidence[rows])


def _encode_grey(pixels: UInt8[np.ndarray, "height width"]) -> bytes:
    """Write a PNG in a tenth of the time that Pillow takes, about as small."""
    above = np.zeros_like(pixels[0])
    return _file(pixels.shape, isal_zlib.compress(_filtered(pixels, above), LEVEL))


def _filtered(
    pixels: UInt8[np.ndarray, "rows width"], above: UInt8[np.ndarray, " width"]
) -> UInt8[np.ndarray, " bytes"]:
    """What is compressed of some rows: differences from the row above, modulo 256."""
    height, width = pixels.shape
    rows = np.empty((height, 1 + width), np.uint8)
    rows[:, 0] = FILTER_UP
    np.subtract(pixels[0], above, out=rows[0, 1:])
    np.subtract(pixels[1:], pixels[:-1], out=rows[1:, 1:])
    return rows.reshape(-1)


def _file(size: tuple[int, ...], pixel_data: bytes) -> bytes:
    """Put a greyscale PNG of `size`, height and width, together."""
    header = struct.pack(">IIBBBBB", size[1], size[0], 8, GREY, 0, 0, 0)
    return b"".join(
        [SIGNATURE, *_chunk(b"IHDR", header), *_chunk(b"IDAT", pixel_data), *_chunk(b"IEND", b"")]
    )


@dataclass(frozen=True)
class _Band:
    """Some rows, compressed so that those of the next band may follow."""

    deflated: bytes
    size: int  # before
    checksum: int


def _compress_band(read: Read, band: slice) -> _Band:
    if band.start:
        rows = read(slice(band.start - 1, band.stop))
        filtered = _filtered(rows[1:], rows[0])
    else:
        rows = read(band)
        filtered = _filtered(rows, np.zeros_like(rows[0]))
    deflater = isal_zlib.compressobj(LEVEL, wbits=RAW_DEFLATE)
    deflated = deflater.compress(filtered) + deflater.flush(isal_zlib.Z_SYNC_FLUSH)
    return _Band(deflated, filtered.size, isal_zlib.adler32(filtered))


def _joined(bands: list[_Band]) -> bytes:
    """One zlib stream of all bands, whose checksum is made of theirs (RFC 1950)."""
    low, high = 1, 0
    for band in bands:
        next_high, next_low = divmod(band.checksum, 1 << 16)
        high = (high + next_high + band.size * (low - 1)) % ADLER
        low = (low + next_low - 1) % ADLER
    end = isal_zlib.compressobj(LEVEL, wbits=RAW_DEFLATE).flush()
    checksum = struct.pack(">HH", high, low)
    return b"".join([ZLIB_HEADER, *(band.deflated for band in bands), end, checksum])


def _chunk(kind: bytes, body: bytes) -> tuple[bytes, bytes, bytes]:
    checksum = isal_zlib.crc32(body, isal_zlib.crc32(kind))
    return struct.pack(">I", len(body)) + kind, body, struct.pack(">I", checksum)
