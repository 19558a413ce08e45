"""The media type of a picture file, from its first bytes."""

from atrous.domain.errors import BadImage

SUFFIXES = {
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/webp": ".webp",
    "image/bmp": ".bmp",
    "image/tiff": ".tif",
    "image/gif": ".gif",
}


def media_type(data: bytes) -> str:
    """Tell what kind of picture a file is; BadImage for one that is not read here.

    >>> media_type(b"\\xff\\xd8\\xff\\xe0")
    'image/jpeg'
    """
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    starts = {
        b"\xff\xd8\xff": "image/jpeg",
        b"\x89PNG\r\n\x1a\n": "image/png",
        b"BM": "image/bmp",
        b"II*\x00": "image/tiff",
        b"MM\x00*": "image/tiff",
        b"GIF87a": "image/gif",
        b"GIF89a": "image/gif",
    }
    for start, kind in starts.items():
        if data.startswith(start):
            return kind
    raise BadImage("the data is not a JPEG, PNG, WebP, BMP, TIFF or GIF picture; send one of these")
