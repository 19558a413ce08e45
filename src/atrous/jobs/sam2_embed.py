"""Embedding photos ahead of the first click, of a folder or a project; none is done twice."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from atrous.domain.errors import BadImage, BadInput, DamagedBlob, NotFound
from atrous.images.decode import MAX_PIXELS, decode_image
from atrous.sam2.embedding_cache import EmbeddingCache
from atrous.sam2.photo_keys import CONTENT_ID_LENGTH, content_id_of, owner_of, photo_key
from atrous.sam2.segmenter import InteractiveSegmenter
from atrous.store.image_search import ImageQuery
from atrous.store.opening import Store
from atrous.store.projects import Project

logger = logging.getLogger(__name__)

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
EMBEDDING_BYTES = 8_400_000  # on the disk, in half precision
# A server that is at its limit is beyond it for a moment with each photo that it keeps.
BEYOND_BYTES = 10 * EMBEDDING_BYTES


@dataclass(frozen=True)
class EmbedProgress:
    """How far it is, in photos."""

    total: int
    there: int = 0  # embedded before
    embedded: int = 0  # now
    unreadable: int = 0

    @property
    def done(self) -> int:
        """How many need no more work."""
        return self.there + self.embedded + self.unreadable


@dataclass(frozen=True)
class PhotoSource:
    """Where the bytes of a photo's file are."""

    name: str  # for people
    read: Callable[[], bytes]
    content_id: str | None = None  # where it is known without reading them
    max_pixels: int = MAX_PIXELS  # larger photos are left out


def find_photos(folder: Path, *, max_pixels: int = MAX_PIXELS) -> list[PhotoSource]:
    """Give the pictures of a folder and those below it, by name; BadInput where there are none.

    max_pixels: of one that is read; the size of others is told from the header.
    """
    found = sorted(
        path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()
    )
    if not found:
        raise BadInput(f"{folder} has no pictures; expected {', '.join(SUFFIXES)} files")
    return [PhotoSource(str(path), path.read_bytes, max_pixels=max_pixels) for path in found]


def photos_of_project(store: Store, project: Project) -> list[PhotoSource]:
    """Give the photos of a project; BadInput where there are none.

    They are known by their blobs, whose name begins with the content id of the same bytes.
    """
    found = []
    for image in store.image_search.find_all(project, ImageQuery()):  # as they are at one moment
        content_id = image.digest[:CONTENT_ID_LENGTH]
        read = partial(store.blobs.read, image.digest)
        pixels = max(image.height * image.width, MAX_PIXELS)  # let in, whatever the limit is now
        found.append(PhotoSource(image.name, read, content_id, pixels))
    if not found:
        raise BadInput(f"the project {project.slug} has no photos; upload some")
    return found


def embed_photos(
    photos: Sequence[PhotoSource],
    segmenter: InteractiveSegmenter,
    cache: EmbeddingCache,
    *,
    workspace_id: str,
    max_disk_bytes: int,
    report: Callable[[EmbedProgress], None] = lambda _: None,
) -> EmbedProgress:
    """Embed photos into the folder of a cache, under the keys by which the server looks for them.

    Stopped at any moment and started again, it goes on where it was: a photo is known by the
    bytes of its file. One that can't be read is logged and left out. Raises BadInput before any
    work where `max_disk_bytes` can't hold all of them or is less than what is there, as that would
    be removed, and where the disk is full.
    """
    needed = len(photos) * EMBEDDING_BYTES
    if needed > max_disk_bytes:
        raise BadInput(
            f"{len(photos)} embeddings need about {needed:,} bytes; SAM2_EMBEDDING_DISK_BYTES="
            f"{max_disk_bytes} holds fewer: raise it, here and for the server"
        )
    if cache.bytes_on_disk > max_disk_bytes + BEYOND_BYTES:
        raise BadInput(
            f"the embeddings that are there have {cache.bytes_on_disk:,} bytes, and "
            f"SAM2_EMBEDDING_DISK_BYTES={max_disk_bytes} would remove some; set it as the server "
            "has it"
        )
    owner = owner_of(workspace_id, segmenter)
    there = embedded = unreadable = 0
    for photo in photos:
        try:
            if _embed(photo, segmenter, cache, owner):
                embedded += 1
            else:
                there += 1
        except (OSError, BadImage, NotFound, DamagedBlob) as error:
            logger.warning("%s is left out: %s", photo.name, error)
            unreadable += 1
        report(EmbedProgress(len(photos), there, embedded, unreadable))
    return EmbedProgress(len(photos), there, embedded, unreadable)


def _embed(
    photo: PhotoSource, segmenter: InteractiveSegmenter, cache: EmbeddingCache, owner: str
) -> bool:
    """Embed a photo; False where it was there, and now stays as if it were new."""
    if photo.content_id is not None and cache.touch(photo_key(owner, photo.content_id)):
        return False
    file_bytes = photo.read()
    key = photo_key(owner, content_id_of(file_bytes))
    if cache.touch(key):
        return False
    cache.put(key, segmenter.embed(decode_image(file_bytes, max_pixels=photo.max_pixels)))
    if not cache.on_disk(key):
        raise BadInput(
            "an embedding can't be written to the data folder; make room and run this again: it "
            "goes on where it was"
        )
    return True
