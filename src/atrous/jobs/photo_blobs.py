"""The stored files of a version's photos; one that is lost or damaged is told by the photo."""

from atrous.domain.errors import DamagedBlob, NotFound
from atrous.store.blobs import Blobs
from atrous.store.versions import FrozenImage


def photo_data(blobs: Blobs, photo: FrozenImage) -> bytes:
    """The file of a photo; NotFound or DamagedBlob names the photo."""
    return _read(blobs, photo.image_digest, f"the photo {photo.name[:100]!r}")


def label_data(blobs: Blobs, photo: FrozenImage) -> bytes:
    """The mask of a photo, as a PNG; the same errors."""
    return _read(blobs, photo.label_digest, f"the label of photo {photo.name[:100]!r}")


def _read(blobs: Blobs, digest: str, what: str) -> bytes:
    try:
        return blobs.read(digest)
    except (NotFound, DamagedBlob) as error:
        raise type(error)(
            f"{what} can't be read: {error}; restore the blobs from a backup, or upload the same "
            "photo and label again, which stores the same files"
        ) from error
