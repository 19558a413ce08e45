"""How photos are named in caches: by whose they are, by the weights, and by their content."""

import hashlib
import re

from atrous.sam2.segmenter import InteractiveSegmenter

CONTENT_ID_LENGTH = 40
CONTENT_ID = re.compile(r"[0-9a-f]{40}")


def content_id_of(file_bytes: bytes) -> str:
    """Name a photo by the bytes of its file, not decoded: the start of their SHA-256.

    >>> content_id_of(b"photo")[:8]
    '55c64d0f'
    """
    return hashlib.sha256(file_bytes).hexdigest()[:CONTENT_ID_LENGTH]


def owner_of(workspace_id: str, segmenter: InteractiveSegmenter) -> str:
    """Whose photos these are, and by which weights and in which precision they are encoded."""
    return f"{workspace_id}/{segmenter.package.identity}/{segmenter.precision}"


def photo_key(owner: str, content_id: str) -> str:
    """The key of a photo's embedding: an owner finds its own photos alone."""
    return f"{owner}/{content_id}"
