"""Embedding a folder of photos ahead of the first click: what was done is not done again."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from atrous.domain.errors import BadImage, BadInput
from atrous.images.decode import decode_image
from atrous.sam2.embedding_cache import EmbeddingCache
from atrous.sam2.photo_keys import content_id_of, owner_of, photo_key
from atrous.sam2.segmenter import InteractiveSegmenter

logger = logging.getLogger(__name__)

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
EMBEDDING_BYTES = 8_400_000  # on the disk, in half precision


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


def find_photos(folder: Path) -> list[Path]:
    """Give the pictures of a folder and those below it, by name; BadInput where there are none."""
    found = sorted(
        path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()
    )
    if not found:
        raise BadInput(f"{folder} has no pictures; expected {', '.join(SUFFIXES)} files")
    return found


def embed_photos(
    photos: Sequence[Path],
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
    work where `max_disk_bytes` can't hold all of them, and where the disk is full.
    """
    needed = len(photos) * EMBEDDING_BYTES
    if needed > max_disk_bytes:
        raise BadInput(
            f"{len(photos)} embeddings need about {needed:,} bytes; SAM2_EMBEDDING_DISK_BYTES="
            f"{max_disk_bytes} holds fewer: raise it, here and for the server"
        )
    owner = owner_of(workspace_id, segmenter.package)
    there = embedded = unreadable = 0
    for photo in photos:
        try:
            file_bytes = photo.read_bytes()
            key = photo_key(owner, content_id_of(file_bytes))
            if cache.on_disk(key):
                there += 1
            else:
                cache.put(key, segmenter.embed(decode_image(file_bytes)))
                if not cache.on_disk(key):
                    raise BadInput(
                        "an embedding can't be written to the data folder; make room and run this "
                        "again: it goes on where it was"
                    )
                embedded += 1
        except (OSError, BadImage) as error:
            logger.warning("%s is left out: %s", photo, error)
            unreadable += 1
        report(EmbedProgress(len(photos), there, embedded, unreadable))
    return EmbedProgress(len(photos), there, embedded, unreadable)
