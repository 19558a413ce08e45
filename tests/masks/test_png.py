import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from atrous.domain.errors import BadImage
from atrous.domain.geometry import Size
from atrous.masks import png
from atrous.masks.png import (
    decode_label_map,
    encode_confidence,
    encode_label_map,
    encode_masks,
)


def saved(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=format, **options)
    return buffer.getvalue()


def grey_png(bits: int, row: list[int]) -> bytes:
    """A PNG of one row, put together by hand: Pillow doesn't write 2 and 4 bits of grey."""
    packed = "".join(format(value, f"0{bits}b") for value in row)
    line = int(packed.ljust(-(-len(packed) // 8) * 8, "0"), 2).to_bytes(-(-len(packed) // 8), "big")

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", len(row), 1, bits, 0, 0, 0, 0)
    body = (
        chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" + line)) + chunk(b"IEND", b"")
    )
    return png.SIGNATURE + body


def test_label_map_comes_back_and_is_greyscale() -> None:
    label_map = np.random.default_rng(0).integers(0, 256, (7, 5)).astype(np.uint8)
    data = encode_label_map(label_map)
    with Image.open(io.BytesIO(data)) as image:
        assert (image.mode, image.size) == ("L", (5, 7))
        np.testing.assert_array_equal(np.array(image), label_map)
    np.testing.assert_array_equal(decode_label_map(data), label_map)


grey = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=60))


@given(grey, st.integers(1, 40), st.integers(1, 40))
def test_other_readers_see_the_same_pixels(pixels: np.ndarray, down: int, right: int) -> None:
    """Pillow and OpenCV, on noise as well as on the even areas that masks have."""
    for label_map in (pixels, pixels.repeat(down, axis=0).repeat(right, axis=1)):
        data = encode_label_map(label_map)
        with Image.open(io.BytesIO(data)) as image:
            image.verify()  # the checksums of the chunks
        with Image.open(io.BytesIO(data)) as image:
            assert image.mode == "L"
            np.testing.assert_array_equal(np.array(image), label_map)
        read = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        assert read.shape == label_map.shape  # one channel
        np.testing.assert_array_equal(read, label_map)


@pytest.mark.parametrize("shape", [(1, 1), (1, 70_000), (70_000, 1), (2000, 3000)])
@pytest.mark.parametrize("values", [1, 2, 256])
def test_long_and_large_masks(shape: tuple[int, int], values: int) -> None:
    label_map = np.random.default_rng(2).integers(0, values, shape).astype(np.uint8)
    np.testing.assert_array_equal(decode_label_map(encode_label_map(label_map)), label_map)


def test_views_are_written_as_they_are_seen() -> None:
    label_map = np.random.default_rng(0).integers(0, 256, (9, 12)).astype(np.uint8)
    for view in (label_map[::2, 3:], label_map[::-1], label_map.T):
        np.testing.assert_array_equal(decode_label_map(encode_label_map(view)), view)


@given(arrays(np.float32, (3, 50), elements=st.floats(0, 1, width=32)))
def test_confidences_are_floored_levels(confidence: np.ndarray) -> None:
    levels = decode_label_map(encode_confidence(confidence))
    np.testing.assert_array_equal(levels, (confidence * 255).astype(np.uint8))


def test_confidence_is_cut_off_not_rounded() -> None:
    confidence = np.array([[0.0, 0.5, 0.999, 1.0]], np.float32)
    assert decode_label_map(encode_confidence(confidence)).tolist() == [[0, 127, 254, 255]]


def compressed(data: bytes) -> bytes:
    """The body of the one IDAT chunk, which lies between the header's chunk and the end's."""
    (length,) = struct.unpack(">I", data[33:37])
    assert data[37:41] == b"IDAT"
    return data[41 : 41 + length]


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (900, 1), (90, 120), (121, 64)])
@pytest.mark.parametrize("band_pixels", [1, 500, 1 << 20])
def test_bands_do_not_show(
    shape: tuple[int, int], band_pixels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(png, "BAND_PIXELS", band_pixels)
    random = np.random.default_rng(5)
    label_map = random.integers(0, 256, shape).astype(np.uint8)
    confidence = random.random(shape, np.float32)
    labels, levels = encode_masks(label_map, confidence)
    for banded, whole in (
        (labels, encode_label_map(label_map)),
        (levels, encode_confidence(confidence)),
    ):
        assert banded[:33] == whole[:33]
        # zlib compares the checksum, which Pillow and OpenCV don't
        assert zlib.decompress(compressed(banded)) == zlib.decompress(compressed(whole))
        with Image.open(io.BytesIO(banded)) as image:
            np.testing.assert_array_equal(np.array(image), decode_label_map(whole))


def test_a_photo_is_compressed_in_bands() -> None:
    label_map = np.random.default_rng(6).integers(0, 3, (900, 1300)).astype(np.uint8)
    confidence = label_map / np.float32(3)
    labels, levels = encode_masks(label_map, confidence)
    assert labels != encode_label_map(label_map)
    np.testing.assert_array_equal(decode_label_map(labels), label_map)
    np.testing.assert_array_equal(decode_label_map(levels), (confidence * 255).astype(np.uint8))
    assert len(labels) < 1.02 * len(encode_label_map(label_map))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_greys_of_few_bits_are_ids_not_brightness(bits: int) -> None:
    row = [0, 1, 2**bits - 1]
    assert decode_label_map(grey_png(bits, row)).tolist() == [row]


@pytest.mark.parametrize("colors", [2, 4, 16, 256])
def test_palette_gives_indices(colors: int) -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([255 - value // 3 for value in range(3 * colors)])
    image.putdata([0, 1, colors - 1])
    assert decode_label_map(saved(image)).tolist() == [[0, 1, colors - 1]]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "I;16"])
def test_what_holds_no_ids_is_refused(mode: str) -> None:
    with pytest.raises(BadImage, match="8-bit greyscale"):
        decode_label_map(saved(Image.new(mode, (4, 4))))


def test_jpeg_is_refused() -> None:
    with pytest.raises(BadImage, match="labels must be PNG"):
        decode_label_map(saved(Image.new("L", (4, 4)), format="JPEG"))


def test_truncation_anywhere_is_refused() -> None:
    whole = encode_label_map(np.random.default_rng(0).integers(0, 9, (60, 60)).astype(np.uint8))
    for length in (0, 8, 20, 32, 40, len(whole) // 2, len(whole) - 20, len(whole) - 1):
        with pytest.raises(BadImage):
            decode_label_map(whole[:length])


def test_damaged_pixels_are_refused() -> None:
    whole = bytearray(encode_label_map(np.random.default_rng(0).integers(0, 9, (60, 60), np.uint8)))
    whole[60:90] = bytes(30)
    with pytest.raises(BadImage, match="can't be decoded"):
        decode_label_map(bytes(whole))


def test_size_is_refused_before_decoding() -> None:
    whole = bytearray(encode_label_map(np.zeros((2, 2), np.uint8)))
    whole[16:24] = struct.pack(">II", 100_000, 100_000)
    with pytest.raises(BadImage, match="100000x100000"):
        decode_label_map(bytes(whole))
    assert decode_label_map(encode_label_map(np.ones((2, 3), np.uint8)), max_pixels=6).all()
    with pytest.raises(BadImage, match="3x2, more than 5 pixels"):
        decode_label_map(encode_label_map(np.ones((2, 3), np.uint8)), max_pixels=5)


def test_a_size_is_read_from_the_header_alone() -> None:
    data = png.encode_label_map(np.zeros((3, 5), np.uint8))
    assert png.label_map_size(data[:33]) == Size(3, 5)
    for foreign, most in ((data, 14), (b"GIF89a", 100), (data[:20], 100)):
        with pytest.raises(BadImage):
            png.label_map_size(foreign, max_pixels=most)
