import base64

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.domain.errors import BadImage
from atrous.server.image_input import (
    DeclaredImage,
    SentImage,
    decode_text,
    is_binary,
    read_declared,
)


@given(st.binary(min_size=1, max_size=200), st.integers(0, 6))
def test_any_spelling_of_base64_is_read(data: bytes, spelling: int) -> None:
    text = base64.b64encode(data)
    spelled = [
        text,
        text.rstrip(b"="),
        base64.urlsafe_b64encode(data),
        base64.encodebytes(data),
        b"data:image/jpeg;base64," + text,
        b" \r\n" + text + b"\r\n",
        text + b"===",
    ][spelling]
    assert decode_text(spelled) == data


@given(st.binary(max_size=300))
def test_anything_else_is_a_bad_image_or_bytes(data: bytes) -> None:
    try:
        decode_text(data)
    except BadImage as error:
        message = str(error)
    else:
        return
    assert message in ("Empty image payload.", "Malformed base64 input image.")


@pytest.mark.parametrize("text", [b"=", b"==", b"====", b"!!", b"A", b"AAAAA"])
def test_what_holds_no_bytes_is_malformed(text: bytes) -> None:
    with pytest.raises(BadImage, match="Malformed"):
        decode_text(text)


@pytest.mark.parametrize(
    "start",
    [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x10\0\0\0WEBP", b"BM\x36\0\0\0", b"II*\0"],
)
def test_pictures_are_told_from_text(start: bytes) -> None:
    assert is_binary(start)
    assert not is_binary(base64.b64encode(start))
    assert not is_binary(b"\xef\xbb\xbf" + base64.b64encode(start))


async def fetch(url: str) -> SentImage:
    return SentImage(f"fetched from {url}".encode())


def read(kind: str, value: object) -> bytes:
    return anyio.run(read_declared, DeclaredImage(kind, value), fetch).file_bytes()


def test_declared_images() -> None:
    assert read("base64", "aGk=") == b"hi"
    assert read("BASE64", "aGk") == b"hi"
    assert read("URL", "https://example.com/a") == b"fetched from https://example.com/a"
    for kind, value, message in [
        ("numpy", "gASVAAAA", "NumPy image type is not supported"),
        ("numpy_object", None, "NumPy image type is not supported"),
        ("file", "/etc/passwd", "not recognised image type"),
        ("pil", "x", "not recognised image type"),
        ("multipart", "x", "not recognised image type"),
        ("base64", None, "Empty image payload"),
        ("base64", "", "Empty image payload"),
        ("base64", 5, "Malformed"),
        ("base64", {"a": 1}, "Malformed"),
        ("base64", "\ud800", "Malformed"),
        ("url", None, "Empty image payload"),
    ]:
        with pytest.raises(BadImage, match=message):
            read(kind, value)
