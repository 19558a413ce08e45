"""The pictures of a version: each frozen photo and its label, with the version's steps done."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import UInt8

from atrous.datasets.preparation import (
    Preparation,
    left_out,
    prepare,
    read_preparation,
    remap_classes,
)
from atrous.domain.classes import BACKGROUND_ID, IGNORE_ID
from atrous.domain.errors import BadDataset
from atrous.images.decode import decode_image
from atrous.images.draw import encode_jpeg, encode_png
from atrous.jobs.settling import FractionReport
from atrous.masks.png import decode_label_map, encode_label_map
from atrous.store.blobs import Blobs
from atrous.store.jobs import Job
from atrous.store.opening import Store
from atrous.store.versions import FrozenImage

JPEG_QUALITY = 95
NOTHING_LEFT = "the steps leave no image; ask for less of 'filter-null'"


@dataclass(frozen=True)
class _Made:
    """A finished picture, and whether its label shows any class."""

    frozen: FrozenImage
    labelled: bool


def generate_version(job: Job, worker: str, store: Store) -> dict[str, Any]:
    """Make the pictures and publish them together; what was made by an earlier try is used."""
    version = store.versions.by_id(job.workspace_id, job.payload["version_id"])
    steps = read_preparation(version.preprocessing, version.augmentation)
    names, table = remap_classes(version.class_names, steps.remap)
    sources = store.versions.sources(version)
    report = FractionReport(job, worker, store, total=len(sources))
    work = partial(_make, store.blobs, steps, table)
    made: list[_Made] = []
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:  # decoding leaves Python's lock
        for pieces in pool.map(work, sources):
            made += pieces
            report.step()
    kept = _filtered(made, steps.labelled_percent, version.seed)
    if not kept:
        raise BadDataset(NOTHING_LEFT)
    store.versions.finish(version, kept, names)
    return {"images": len(kept)}


def _make(
    blobs: Blobs, steps: Preparation, table: UInt8[np.ndarray, "256"], source: FrozenImage
) -> list[_Made]:
    data = blobs.read(source.image_digest)
    label_map = np.take(table, decode_label_map(blobs.read(source.label_digest)))
    if not steps.changes_pixels and not (steps.auto_orient and _is_turned(data, source)):
        label = blobs.put(encode_label_map(label_map)).digest
        return [_Made(replace(source, label_digest=label), _shows_class(label_map))]
    pieces = []
    for piece in prepare(decode_image(data), label_map, steps):
        kind = "image/jpeg" if source.media_type == "image/jpeg" else "image/png"
        encoded = (
            encode_jpeg(piece.image, quality=JPEG_QUALITY)
            if kind == "image/jpeg"
            else encode_png(piece.image)
        )
        height, width = piece.label_map.shape
        path = PurePosixPath(source.name)
        frozen = FrozenImage(
            name=f"{path.stem}{piece.suffix}{path.suffix}",
            split=source.split,
            media_type=kind,
            image_digest=blobs.put(encoded).digest,
            label_digest=blobs.put(encode_label_map(piece.label_map)).digest,
            height=height,
            width=width,
        )
        pieces.append(_Made(frozen, _shows_class(piece.label_map)))
    return pieces


def _is_turned(data: bytes, source: FrozenImage) -> bool:
    """Whether EXIF turns or mirrors the photo, so that its pixels do not lie as they are shown."""
    stored = decode_image(data, auto_orient=False)
    if stored.shape[:2] != (source.height, source.width):
        return True
    return not np.array_equal(stored, decode_image(data))


def _shows_class(label_map: UInt8[np.ndarray, "height width"]) -> bool:
    return bool(((label_map != BACKGROUND_ID) & (label_map != IGNORE_ID)).any())


def _filtered(made: Sequence[_Made], labelled_percent: float, seed: int) -> list[FrozenImage]:
    """Without some of the pictures that show no class, chosen by seed."""
    empty = {
        f"{index}/{entry.frozen.name}": index
        for index, entry in enumerate(made)
        if not entry.labelled
    }
    gone_names = left_out(list(empty), len(made) - len(empty), labelled_percent, seed)
    gone = {empty[name] for name in gone_names}
    return [entry.frozen for index, entry in enumerate(made) if index not in gone]
