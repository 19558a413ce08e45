"""The picture in a request: base64 as clients really send it, raw bytes, a form's file, a URL."""

import base64
import binascii
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

import pybase64
from fastapi import Request

from atrous.domain.errors import BadImage
from atrous.server.form_file import find_part

DATA_URI = re.compile(rb"^data:[^,]{0,200};base64,", re.IGNORECASE)
NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")
FORM_PART = "file"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

NUMPY_REFUSED = "NumPy image type is not supported in this configuration of `inference`."
TYPE_REFUSED = "Image declaration contains not recognised image type."
EMPTY = "Empty image payload."
MALFORMED = "Malformed base64 input image."
NO_PART = "Expected image to be send in part named 'file' of multipart/form-data request"  # sic
NUMPY_TYPES = ("numpy", "numpy_object")  # a pickle: opening it would run what the client likes


@dataclass(frozen=True)
class DeclaredImage:
    """What a JSON body says about one picture: `{"type": ..., "value": ...}`."""

    type: str
    value: Any


@dataclass(frozen=True)
class SentImage:
    """A picture as it arrived. Decoding large texts takes time: that is left to a worker thread."""

    data: bytes
    is_text: bool = False  # base64
    is_fetched: bool = False  # by URL

    def file_bytes(self) -> bytes:
        """Give the bytes of the picture's file, or raise BadImage."""
        return decode_text(self.data) if self.is_text else self.data


async def read_declared(
    image: DeclaredImage, fetch: Callable[[str], Awaitable[SentImage]]
) -> SentImage:
    """Give the picture, or raise BadImage.

    `base64` and `url` are understood; `fetch` is asked for the latter. What would read this
    machine's files or unpickle (`file`, `numpy`) is refused, as is all else.
    """
    kind = image.type.lower()
    if kind in NUMPY_TYPES:
        raise BadImage(NUMPY_REFUSED)
    if kind not in ("base64", "url"):
        raise BadImage(TYPE_REFUSED)
    if not isinstance(image.value, str):
        raise BadImage(EMPTY if image.value is None else MALFORMED)
    if kind == "url":
        return await fetch(image.value)
    return SentImage(image.value.encode("utf-8", "replace"), is_text=True)


async def read_posted(request: Request) -> SentImage:
    """Give the picture that a request's body is, or raise BadImage.

    The declared content type counts only where it is a form: clients post base64 text as JSON,
    as a URL-encoded form, as anything, or without saying what it is.
    """
    data = await request.body()
    content_type = request.headers.get("content-type", "")
    if "multipart/form-data" in content_type.lower():
        part = find_part(data, content_type, FORM_PART)
        if part is None:
            raise BadImage(NO_PART)
        data = part
    return SentImage(data, is_text=not is_binary(data))


def is_binary(data: bytes) -> bool:
    """Tell a picture's own bytes from text: every format's start has bytes that no text has.

    >>> is_binary(b"\\xff\\xd8\\xff\\xe0"), is_binary(b"/9j/4AAQSkZJRg==")
    (True, False)
    """
    start = data.removeprefix(BYTE_ORDER_MARK)[:64]
    return any(byte >= 0x7F or byte < 0x09 for byte in start)


def decode_text(text: bytes) -> bytes:
    """Decode base64 with line breaks, a data-URI prefix, URL-safe letters, any padding.

    >>> decode_text(b"data:image/png;base64,aGk\\n")
    b'hi'
    """
    text = text.removeprefix(BYTE_ORDER_MARK).strip()
    if b"%" in text[:4096]:  # percent-encoded by a form library
        text = unquote_to_bytes(text)
    text = DATA_URI.sub(b"", text, count=1)
    return _decode_plain(text) or _decode_cleaned(text)


def _decode_plain(text: bytes) -> bytes:
    """Decode base64 as most clients send it; nothing where the text needs cleaning first."""
    try:
        return pybase64.b64decode(text, validate=True)
    except binascii.Error:
        return b""


def _decode_cleaned(text: bytes) -> bytes:
    letters = NOT_BASE64.sub(b"", text.translate(bytes.maketrans(b"-_", b"+/")))
    if not letters:
        raise BadImage(MALFORMED if text else EMPTY)
    if len(letters) % 4 == 1:  # no number of bytes gives this many letters
        raise BadImage(MALFORMED)
    try:
        return base64.b64decode(letters + b"=" * (-len(letters) % 4), validate=True)
    except binascii.Error:
        raise BadImage(MALFORMED) from None
