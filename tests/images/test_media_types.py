import io

import numpy as np
import pytest
from PIL import Image

from atrous.domain.errors import BadImage
from atrous.images.media_types import SUFFIXES, media_type


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("JPEG", "image/jpeg"),
        ("PNG", "image/png"),
        ("WEBP", "image/webp"),
        ("BMP", "image/bmp"),
        ("TIFF", "image/tiff"),
        ("GIF", "image/gif"),
    ],
)
def test_each_kind_is_told(kind: str, expected: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((4, 5, 3), np.uint8)).save(buffer, kind)
    assert media_type(buffer.getvalue()) == expected
    assert SUFFIXES[expected].startswith(".")


@pytest.mark.parametrize("data", [b"", b"RIFF0000WAVE", b"<svg", b"%PDF"])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(BadImage, match="JPEG, PNG"):
        media_type(data)
