import io

import numpy as np
import pytest
from PIL import Image

from atrous.domain.errors import BadImage
from atrous.domain.geometry import Size
from atrous.store.blobs import Blobs
from atrous.store.photo_files import (
    PhotoFile,
    make_thumb,
    plain_name,
    split_of_content,
    store_photo,
)

PHOTO = PhotoFile("a" * 64, "b" * 64, "image/jpeg", 10, Size(3, 4))


def test_a_photo_is_stored_unchanged(tmp_path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.arange(600, dtype=np.uint16).astype(np.uint8).reshape(10, 20, 3)).save(
        buffer, "PNG"
    )
    png = buffer.getvalue()
    blobs = Blobs(str(tmp_path))
    photo = store_photo(png, blobs, max_pixels=10**6)
    assert blobs.read(photo.digest) == png
    assert photo.media_type == "image/png"
    assert photo.size_bytes == len(png)
    with pytest.raises(BadImage):
        store_photo(png, blobs, max_pixels=10)
    with pytest.raises(BadImage):
        store_photo(png[:-20], blobs, max_pixels=10**6)


@pytest.mark.parametrize(
    ("size", "thumb"), [((10, 20), (10, 20)), ((512, 256), (256, 128)), ((5000, 1), (256, 1))]
)
def test_thumbnails_fit(size, thumb) -> None:
    assert make_thumb(np.zeros((*size, 3), np.uint8)).shape == (*thumb, 3)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("a/b\\c.jpg", "c.jpg"),
        ("../../x.png", "x.png"),
        ("a\x00b\n.jpg", "ab.jpg"),
        ("", f"{'a' * 12}.jpg"),
        ("..", f"{'a' * 12}.jpg"),
        ("x" * 400, "x" * 300),
    ],
)
def test_names_are_made_plain(sent: str, kept: str) -> None:
    assert plain_name(sent, PHOTO) == kept


def test_splits_are_parted_by_content() -> None:
    splits = [
        split_of_content(f"{(2 * number + 1) * 2**31 // 1000:08x}{'0' * 56}")
        for number in range(1000)
    ]
    assert [splits.count(split) for split in ("train", "valid", "test")] == [700, 200, 100]
