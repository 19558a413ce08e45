import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from atrous.domain.errors import BadImage
from atrous.domain.geometry import Size
from atrous.images.decode import (
    MAX_SCANS,
    PixelFormat,
    _pixels_of_png,
    decode_image,
    image_size,
    pixel_format,
    read_image,
)


def photo() -> Image.Image:
    row = np.linspace(0, 255, 56)
    pixels = np.stack(
        [
            row[None] * np.ones((40, 1)),
            row[::-1] * np.ones((40, 1)),
            90 + 0 * row * np.ones((40, 1)),
        ],
        axis=2,
    )
    pixels[8:20, 10:30] = (250, 20, 60)
    return Image.fromarray(pixels.astype(np.uint8))


def saved(image: Image.Image, kind: str, **settings: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **settings)
    return file.getvalue()


FILES = {
    "jpeg": saved(photo(), "JPEG"),
    "progressive": saved(photo(), "JPEG", progressive=True),
    "grey jpeg": saved(photo().convert("L"), "JPEG"),
    "cmyk jpeg": saved(photo().convert("CMYK"), "JPEG"),
    "png": saved(photo(), "PNG"),
    "alpha png": saved(photo().convert("RGBA"), "PNG"),
    "grey alpha png": saved(photo().convert("LA"), "PNG"),
    "palette png": saved(photo().convert("P"), "PNG"),
    "1-bit png": saved(photo().convert("1"), "PNG"),
    "webp": saved(photo(), "WEBP"),
    "lossless webp": saved(photo(), "WEBP", lossless=True),
    "animated webp": saved(
        photo(), "WEBP", save_all=True, append_images=[photo().rotate(90)], lossless=True
    ),
    "bmp": saved(photo(), "BMP"),
    "tiff": saved(photo(), "TIFF"),
    "lzw tiff": saved(photo(), "TIFF", compression="tiff_lzw"),
    "cmyk tiff": saved(photo().convert("CMYK"), "TIFF"),
    "gif": saved(photo(), "GIF"),
}


@pytest.mark.parametrize("name", FILES)
def test_agrees_with_pillow(name: str) -> None:
    expected = np.asarray(Image.open(io.BytesIO(FILES[name])).convert("RGB"))
    pixels = decode_image(FILES[name])
    assert pixels.flags.writeable
    assert np.abs(pixels.astype(int) - expected).max() <= 1
    assert image_size(FILES[name]) == Size(40, 56)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits_keep_the_high_byte(kind: str) -> None:
    levels = (np.arange(40 * 56).reshape(40, 56) * 29).astype(np.uint16)
    pixels = decode_image(saved(Image.fromarray(levels), kind))
    assert np.abs(pixels[..., 0].astype(int) - levels // 256).max() <= 1
    assert np.array_equal(pixels[..., 0], pixels[..., 2])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_exif_orientation(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    settings = {"lossless": True} if kind == "WEBP" else {}
    data = saved(photo(), kind, exif=exif.tobytes(), **settings)
    upright = decode_image(data)
    expected = photo().rotate({1: 0, 3: 180, 6: 270, 8: 90}[orientation], expand=True)
    assert np.abs(upright.astype(int) - np.asarray(expected)).mean() < 4
    assert image_size(data) == Size(*upright.shape[:2])
    if kind != "TIFF":
        assert decode_image(data, auto_orient=False).shape == (40, 56, 3)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.6, 0.9, 0.99])
def test_truncated_files_are_refused(name: str, share: float) -> None:
    with pytest.raises(BadImage):
        decode_image(FILES[name][: int(len(FILES[name]) * share)])


def test_first_frame_of_an_animation() -> None:
    frames = saved(photo(), "GIF", save_all=True, append_images=[photo().rotate(90)])
    assert np.array_equal(decode_image(frames), decode_image(FILES["gif"]))
    assert np.array_equal(
        decode_image(FILES["animated webp"]), decode_image(FILES["lossless webp"])
    )


def test_truncated_jpeg_with_a_whole_thumbnail_is_refused() -> None:
    thumbnail = saved(photo().resize((8, 8)), "JPEG")
    app1 = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    whole = FILES["jpeg"][:2] + app1 + FILES["jpeg"][2:]
    assert decode_image(whole).shape == (40, 56, 3)
    with pytest.raises(BadImage, match="ends too early; copy or send the whole"):
        decode_image(whole[:-40])


def test_junk_behind_the_end_is_allowed() -> None:
    for name in ("jpeg", "png"):
        assert decode_image(FILES[name] + b"\xff\xda junk").shape == (40, 56, 3)


@pytest.mark.parametrize(
    "data", [b"not an image", b"%PDF-1.7 ........", b"8BPS" + bytes(40), b"\x00\x00\x01\x00" * 9]
)
def test_other_formats_are_refused(data: bytes) -> None:
    with pytest.raises(BadImage, match="JPEG, PNG, WebP, BMP, TIFF or GIF"):
        decode_image(data)


def test_empty_data_has_the_wording_that_clients_know() -> None:
    with pytest.raises(BadImage, match=r"^Empty image payload\.$"):
        decode_image(b"")


def bomb(side: int) -> bytes:
    """A PNG of side x side pixels, of which a header alone is there."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [10_001, 16_000, 60_000])
def test_bombs_are_refused_by_their_header(side: int) -> None:
    with pytest.raises(BadImage, match="at most 100,000,000"):
        decode_image(bomb(side))


def test_sizes_that_pillow_warns_about_are_ours_to_judge() -> None:
    assert image_size(bomb(9_900)) == Size(9_900, 9_900)


@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "bmp", "tiff", "lzw tiff", "gif"])
def test_no_limit_of_pillow_is_below_ours(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In small: its limit is a tenth of the picture here, and 0.9 of our 100 MP by default."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 224)
    assert decode_image(FILES[name], max_pixels=40 * 56).shape == (40, 56, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 224)
    assert image_size(FILES[name]) == Size(40, 56)


def test_a_limit_above_pillows_holds_before_decoding_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """WebP's plugin refuses twice its limit while it reads the header."""
    monkeypatch.setattr("atrous.images.decode.MAX_PIXELS", 224)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 224)
    assert image_size(FILES["webp"], max_pixels=40 * 56) == Size(40, 56)


@pytest.mark.parametrize("name", sorted(FILES))
def test_our_limit_holds_for_every_format(name: str) -> None:
    with pytest.raises(BadImage, match="56x40 pixels, 2,240 in all; at most 2,239"):
        decode_image(FILES[name], max_pixels=40 * 56 - 1)


def test_a_long_line_of_pixels_is_refused() -> None:
    file = io.BytesIO()
    Image.new("L", (65_536, 1)).save(file, "TIFF", compression="tiff_adobe_deflate")
    with pytest.raises(BadImage, match="65536x1 pixels; no side may have more than 65,535"):
        decode_image(file.getvalue())


def test_a_gif_over_100_megapixels_is_refused_by_its_header() -> None:
    frame = b"," + struct.pack("<HHHHB", 0, 0, 10_001, 10_000, 0) + b"\x02\x01\x00\x00;"
    data = b"GIF89a" + struct.pack("<HHBBB", 10_001, 10_000, 0x80, 0, 0) + bytes(6) + frame
    with pytest.raises(BadImage, match="at most 100,000,000"):
        decode_image(data)


def test_frames_that_no_picture_may_have_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """GIF's plugin makes room for a frame before anybody can ask how large it is."""
    side = struct.pack("<HH", 60_000, 60_000)
    graphics = b"!\xf9\x04\x08\x00\x00\x00\x00"  # clear the frame afterwards
    frame = b"," + bytes(4) + side + b"\x00" + b"\x02\x01\x00\x00;"
    data = b"GIF89a" + struct.pack("<HHBBB", 8, 8, 0x80, 0, 0) + bytes(6) + graphics + frame
    with pytest.raises(BadImage, match="more than the 1,000,000 pixels"):
        decode_image(data, max_pixels=1_000_000)


def progressive_jpeg(scans: int) -> bytes:
    """16x16 pixels of grey: a scan of the means, then so many of one code for all that is left."""

    def segment(marker: int, content: bytes) -> bytes:
        return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content

    one_code = bytes([1, *[0] * 15])
    return b"".join(
        [
            b"\xff\xd8",
            segment(0xE1, b"\xff\xd9\xff\xda" * 3),  # words, no markers
            segment(0xDB, bytes([0, *[1] * 64])),
            segment(0xC2, struct.pack(">BHHB3B", 8, 16, 16, 1, 1, 0x11, 0)),
            segment(0xC4, b"\x00" + one_code + b"\x00"),
            segment(0xC4, b"\x10" + one_code + b"\x20"),  # a run of 4 + 0 blocks
            segment(0xDA, bytes([1, 1, 0, 0, 0, 0])) + b"\x0f",
            (segment(0xDA, bytes([1, 1, 0, 1, 63, 0])) + b"\x1f") * (scans - 1),
            b"\xff\xd9",
        ]
    )


def test_a_jpeg_has_no_more_scans_than_encoders_make() -> None:
    film = b"\xff\xda\x00" * 1000  # behind the end, as phones keep one
    assert decode_image(progressive_jpeg(MAX_SCANS) + film).shape == (16, 16, 3)
    with pytest.raises(BadImage, match="more than 100 scans"):
        decode_image(progressive_jpeg(MAX_SCANS + 1))


def test_tiles_of_a_tiff_are_no_larger_than_they_need_be(monkeypatch: pytest.MonkeyPatch) -> None:
    def tiled(width: int, length: int) -> bytes:
        data = zlib.compress(bytes(width * length))
        long = {256: 10, 257: 10, 322: width, 323: length, 324: 8, 325: len(data)}
        short = {258: 8, 259: 8, 262: 1, 277: 1}
        tags = sorted({**dict.fromkeys(long, 4), **dict.fromkeys(short, 3)}.items())
        entries = [struct.pack("<HHII", tag, kind, 1, {**long, **short}[tag]) for tag, kind in tags]
        head = b"II*\x00" + struct.pack("<I", 8 + len(data)) + data
        return head + struct.pack("<H", len(tags)) + b"".join(entries) + bytes(4)

    monkeypatch.setattr("atrous.images.decode.MAX_TILE_PIXELS", 32 * 64)
    assert decode_image(tiled(64, 32)).shape == (10, 10, 3)
    for read in (decode_image, image_size):
        with pytest.raises(BadImage, match="tiles of 64x48 pixels"):
            read(tiled(64, 48))


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_words_in_a_png_are_not_decompressed(kind: bytes) -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    flags = b"\x00\x01\x00\x00\x00" if kind == b"iTXt" else b"\x00\x00"
    words = chunk(kind, b"key" + flags + zlib.compress(b"words"))
    start, end = FILES["png"][:-12], FILES["png"][-12:]
    worded = start + words + chunk(b"tEXt", b"key\x00words") + words * 2 + end
    assert _pixels_of_png(worded) == start + chunk(b"tEXt", b"key\x00words") + end
    assert np.array_equal(decode_image(worded), decode_image(FILES["png"]))


def test_limit_is_inclusive() -> None:
    assert decode_image(FILES["jpeg"], max_pixels=40 * 56).shape == (40, 56, 3)
    with pytest.raises(BadImage, match="56x40"):
        decode_image(FILES["jpeg"], max_pixels=40 * 56 - 1)


def test_read_image_names_the_path(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    with pytest.raises(BadImage, match=r"photo\.jpg: No such file"):
        read_image(path)
    path.write_bytes(b"junk")
    with pytest.raises(BadImage, match=r"photo\.jpg: the data is not"):
        read_image(path)
    with pytest.raises(BadImage, match=r"photo\.jpg: the data is not"):
        image_size(path)
    path.write_bytes(FILES["png"])
    assert np.array_equal(read_image(path), decode_image(FILES["png"]))
    assert image_size(path) == Size(40, 56)


@settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    name=st.sampled_from(sorted(FILES)),
    changes=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=12),
)
def test_damage_gives_pixels_or_bad_image(name: str, changes: list[tuple[int, int]]) -> None:
    data = bytearray(FILES[name])
    for position, value in changes:
        data[position % len(data)] = value
    try:
        pixels = decode_image(bytes(data), max_pixels=1_000_000)
    except BadImage:
        return
    assert pixels.ndim == 3


@pytest.mark.parametrize(
    ("mode", "kind", "expected"),
    [
        ("RGB", "PNG", PixelFormat(False, False)),
        ("RGBA", "PNG", PixelFormat(True, False)),
        ("LA", "PNG", PixelFormat(True, False)),
        ("RGBA", "WEBP", PixelFormat(True, False)),
        ("L", "JPEG", PixelFormat(False, False)),
        ("P", "GIF", PixelFormat(False, False)),
        ("I;16", "PNG", PixelFormat(False, True)),
        ("I;16", "TIFF", PixelFormat(False, True)),
    ],
)
def test_what_is_left_out_of_the_pixels(mode: str, kind: str, expected: PixelFormat) -> None:
    file = io.BytesIO()
    Image.new(mode, (8, 6)).save(file, kind)
    assert pixel_format(file.getvalue()) == expected
    assert decode_image(file.getvalue()).shape == (6, 8, 3)


def test_16_bits_of_colour_are_told() -> None:
    done, data = cv2.imencode(".png", np.zeros((6, 8, 4), np.uint16))
    assert done
    assert pixel_format(data.tobytes()) == PixelFormat(True, True)


def test_a_folder_in_place_of_a_picture(tmp_path: Path) -> None:
    with pytest.raises(BadImage, match=rf"{tmp_path}: it is a folder; give its pictures, as .*/\*"):
        read_image(tmp_path)
