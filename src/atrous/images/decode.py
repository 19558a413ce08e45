"""Bytes of a picture file -> RGB pixels, with everything refused that should be."""

import io
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from atrous.domain.errors import BadImage
from atrous.domain.geometry import Size
from atrous.images.orientation import UPRIGHT, orient, oriented_size, read_orientation

MAX_PIXELS = 100_000_000
MAX_SIDE = 65_535  # as in JPEG; a long line of pixels takes tables as long
FORMATS = "JPEG, PNG, WebP, BMP, TIFF or GIF"
MAX_SCANS = 100  # of a JPEG: encoders make about ten, and each is worked through whole
MAX_TILE_PIXELS = 1 << 24  # of a TIFF, whatever its size: a tile is decoded whole
TILE_WIDTH, TILE_LENGTH = 322, 323  # TIFF tags
PNG_DEPTH = 24  # where a PNG's header has the bits per channel
# PNG chunks that are no pixels and are compressed: OpenCV keeps up to 8 MB of each in memory.
COMPRESSED_WORDS = (b"zTXt", b"iTXt", b"iCCP")
MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # no restart, no byte FF of a JPEG's scan
TEM, SOI, EOI, SOS = 0x01, 0xD8, 0xD9, 0xDA

# What Pillow raises on damaged headers and pixels, gathered from its plugins.
PILLOW_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    ArithmeticError,
    AttributeError,
    RuntimeError,
    struct.error,
    UserWarning,  # where warnings are errors: damaged EXIF and TIFF directories
)
# The warning is one where warnings are errors.
PILLOW_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)


@dataclass(frozen=True)
class _Header:
    """A file recognised by its first bytes, of which the header alone has been read."""

    file: ImageFile.ImageFile
    size: Size  # as stored, before `orientation`
    orientation: int  # 1..8, still to be applied

    @property
    def kind(self) -> str:
        return self.file.format or ""


def decode_image(
    data: bytes, *, auto_orient: bool = True, max_pixels: int = MAX_PIXELS
) -> UInt8[np.ndarray, "height width 3"]:
    """Decode a JPEG, PNG, WebP, BMP, TIFF or GIF (first frame) to RGB, 0..255.

    The size is read from the header and refused over `max_pixels` before any pixel is decoded.
    Grey, palette, CMYK and 16-bit pictures come out as 8-bit RGB, alpha is dropped, EXIF
    orientation is applied with `auto_orient` (to TIFF always). Raises BadImage, whose text is
    fit for a client, for anything else and for files that end too early.
    """
    header = _read_header(data, max_pixels)
    _refuse_oversized(header, max_pixels)
    if header.kind == "JPEG":
        _refuse_many_scans(data)
    if header.kind == "JPEG" and header.file.mode in ("L", "RGB"):
        _refuse_truncated_jpeg(data)
        pixels = _decode_with_opencv(data, header)
    elif header.kind == "PNG":
        pixels = _decode_with_opencv(_pixels_of_png(data), header)
    else:
        pixels = _decode_with_pillow(header)
    return orient(pixels, header.orientation if auto_orient else UPRIGHT)


@dataclass(frozen=True)
class PixelFormat:
    """What of a file's pixels `decode_image` leaves out."""

    has_alpha: bool
    is_deep: bool  # 16 bits per channel, of which the upper 8 are taken


def pixel_format(data: bytes) -> PixelFormat:
    """Look at the header alone; BadImage where there is none."""
    header = _read_header(data, MAX_PIXELS)
    mode = header.file.mode
    deep_png = header.kind == "PNG" and data[PNG_DEPTH] == 16  # Pillow's mode does not say so
    return PixelFormat(mode in ("LA", "PA", "RGBA"), deep_png or mode.startswith("I;16"))


def read_image(
    path: Path, *, auto_orient: bool = True, max_pixels: int = MAX_PIXELS
) -> UInt8[np.ndarray, "height width 3"]:
    """`decode_image` of a file; BadImage names the path."""
    try:
        return decode_image(path.read_bytes(), auto_orient=auto_orient, max_pixels=max_pixels)
    except (OSError, BadImage) as error:
        raise BadImage(f"{path}: {_reason(error)}") from error


def image_size(source: Path | bytes, *, max_pixels: int = MAX_PIXELS) -> Size:
    """Size after EXIF orientation, from the header alone; BadImage where there is none.

    Sizes over `max_pixels` are given as well, but not those that are several times as large.
    """
    if isinstance(source, bytes):
        header = _read_header(source, max_pixels)
        return oriented_size(header.size, header.orientation)
    try:
        with source.open("rb") as file:
            header = _read_header(file, max_pixels)
            return oriented_size(header.size, header.orientation)
    except (OSError, BadImage) as error:
        raise BadImage(f"{source}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, IsADirectoryError):
        return f"it is a folder; give its pictures, as {Path(error.filename) / '*.jpg'}"
    return error.strerror or "it can't be read" if isinstance(error, OSError) else str(error)


def _read_header(source: bytes | IO[bytes], max_pixels: int = MAX_PIXELS) -> _Header:
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    start = file.read(16)
    file.seek(0)
    if not start:
        raise BadImage("Empty image payload.")
    reader = _reader_for(start)
    if reader is None:
        raise BadImage(f"the data is not a {FORMATS} picture; send one of these formats")
    _raise_limit_of_pillow(max_pixels)
    try:
        # The plugin itself and not Image.open, which warns about sizes that are allowed here.
        opened = reader(file)
        exif = opened.info.get("exif", b"")
        if isinstance(opened, TiffImageFile):
            _refuse_large_tiles(opened)
    except PILLOW_BOMBS as error:
        raise BadImage(
            f"the picture has more than the {max_pixels:,} pixels that are accepted; "
            "make it smaller"
        ) from error
    except PILLOW_ERRORS as error:
        raise BadImage("the picture's header is damaged; save it again or send another") from error
    size = Size(opened.height, opened.width)
    # Pillow turns a TIFF upright while decoding it, and says its size after that.
    orientation = UPRIGHT if reader is TiffImageFile else read_orientation(exif)
    return _Header(opened, size, orientation)


def _reader_for(start: bytes) -> type[ImageFile.ImageFile] | None:
    """The one decoder of the format that the first 16 bytes announce."""
    if start.startswith(b"\xff\xd8\xff"):
        return JpegImageFile
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return PngImageFile
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return WebPImageFile
    if start.startswith((b"II*\x00", b"MM\x00*")):
        return TiffImageFile
    if start.startswith((b"GIF87a", b"GIF89a")):
        return GifImageFile
    return BmpImageFile if start.startswith(b"BM") else None


def _raise_limit_of_pillow(max_pixels: int) -> None:
    """Let Pillow decode what is allowed here: it warns above a limit, and fails at twice that.

    The limit is one for the process, so it is raised, never lowered or switched off: GIF's plugin
    allocates a frame of the size that its header says before anybody could refuse that.
    """
    if Image.MAX_IMAGE_PIXELS is not None:
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, max_pixels)


def _refuse_oversized(header: _Header, max_pixels: int) -> None:
    if header.size.area < 1:
        raise BadImage(f"the picture is {header.size} pixels; it has no content")
    if max(header.size.height, header.size.width) > MAX_SIDE:
        raise BadImage(
            f"the picture is {header.size} pixels; no side may have more than {MAX_SIDE:,}"
        )
    if header.size.area > max_pixels:
        raise BadImage(
            f"the picture is {header.size} pixels, {header.size.area:,} in all; "
            f"at most {max_pixels:,} are accepted: make it smaller"
        )


def _refuse_truncated_jpeg(data: bytes) -> None:
    """Look for the end marker behind the first scan: libjpeg fills what is missing with grey.

    Scan data never holds the marker FF D9 (ITU T.81, B.1.1.5), and a thumbnail, which has one of
    its own, lies before the scan.
    """
    position = 2
    while position + 4 <= len(data):
        marker, length = struct.unpack_from(">HH", data, position)
        if marker == 0xFFFF:  # fill byte
            position += 1
            continue
        if marker == 0xFFDA:
            break
        position += 2 + length
    if data.rfind(b"\xff\xd9", position) < 0:  # from the end, where it should be
        raise BadImage("the JPEG ends too early; copy or send the whole file again")


def _refuse_many_scans(data: bytes) -> None:
    """Count the scans of a progressive JPEG: ten thousand of them fit into a megabyte."""
    if data.count(b"\xff\xda") <= MAX_SCANS:  # the walk below looks at fewer places
        return
    position, scans = 2, 0
    while marker := MARKER.search(data, position):
        kind, position = data[marker.end() - 1], marker.end()
        if kind == EOI:  # what lies behind it, as the film of a phone's photo, is not decoded
            return
        scans += kind == SOS
        if scans > MAX_SCANS:
            raise BadImage(f"the JPEG has more than {MAX_SCANS} scans; save it again")
        if kind not in (TEM, SOI):  # they have no length
            position += int.from_bytes(data[position : position + 2], "big")


def _refuse_large_tiles(file: TiffImageFile) -> None:
    """Look at the size of a TIFF's tiles, which may be larger than the picture."""
    width, length = (file.tag_v2.get(tag, 0) for tag in (TILE_WIDTH, TILE_LENGTH))
    if width * length > max(MAX_TILE_PIXELS, 2 * file.width * file.height):
        raise BadImage(f"the TIFF has tiles of {width}x{length} pixels; save it with smaller ones")


def _pixels_of_png(data: bytes) -> bytes:
    """Give a PNG without `COMPRESSED_WORDS`; BadImage without its end marker.

    OpenCV leaves missing rows empty, so the chunks are walked to the end.
    """
    position, kept = 8, 0
    pieces: list[bytes] = []
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        if kind == b"IEND":
            return b"".join([*pieces, data[kept:]]) if pieces else data
        if kind in COMPRESSED_WORDS:
            pieces.append(data[kept:position])
            kept = position + 12 + length
        position += 12 + length
    raise BadImage("the PNG ends too early; copy or send the whole file again")


def _decode_with_opencv(data: bytes, header: _Header) -> UInt8[np.ndarray, "height width 3"]:
    try:
        pixels = cv2.imdecode(
            np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
        )
    except cv2.error as error:
        raise BadImage(f"the {header.kind} can't be decoded; save it again") from error
    if pixels is None or pixels.shape[:2] != (header.size.height, header.size.width):
        raise BadImage(f"the {header.kind} can't be decoded; save it again")
    return np.asarray(pixels, np.uint8)


def _decode_with_pillow(header: _Header) -> UInt8[np.ndarray, "height width 3"]:
    file = header.file
    try:
        file.load()
        if file.mode.startswith("I;16"):
            grey = (np.asarray(file) >> 8).astype(np.uint8)
            return np.repeat(grey[..., None], 3, axis=2)
        if file.mode in ("I", "F"):  # no agreed meaning of black and white
            raise BadImage(f"the {header.kind} has 32 bits per pixel; save it with 8 per channel")
        return np.array(file.convert("RGB"))
    except (*PILLOW_ERRORS, *PILLOW_BOMBS) as error:
        raise BadImage(f"the {header.kind} is damaged or ends too early; save it again") from error
