from pathlib import Path

import pytest

from atrous.domain.errors import DamagedBlob, NotFound
from atrous.jobs.photo_blobs import label_data, photo_data
from atrous.store.blobs import Blobs
from atrous.store.versions import FrozenImage


def test_lost_and_damaged_files_are_told_by_their_photo(tmp_path: Path) -> None:
    blobs = Blobs(str(tmp_path))
    image, label = blobs.put(b"photo"), blobs.put(b"label")
    photo = FrozenImage("street.jpg", "train", "image/jpeg", image.digest, label.digest, 4, 5)
    assert (photo_data(blobs, photo), label_data(blobs, photo)) == (b"photo", b"label")
    next(tmp_path.rglob(image.digest)).unlink()
    with pytest.raises(NotFound, match=r"^the photo 'street.jpg' can't be read: there is no blob"):
        photo_data(blobs, photo)
    next(tmp_path.rglob(label.digest)).write_bytes(b"other")
    with pytest.raises(DamagedBlob, match=r"^the label of photo 'street.jpg' .*upload the same"):
        label_data(blobs, photo)
    blobs.put(b"photo")
    blobs.put(b"label")
    assert (photo_data(blobs, photo), label_data(blobs, photo)) == (b"photo", b"label")
