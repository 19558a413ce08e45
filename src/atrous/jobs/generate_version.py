"""The pictures of a version: each frozen photo and its label, with the version's steps done."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import PurePosixPath
from typing import Any, TypeVar

import numpy as np
from jaxtyping import UInt8

from atrous.datasets.augmentations.mosaic import Pair
from atrous.datasets.preparation import left_out, remap_classes
from atrous.datasets.version_pictures import (
    Picture,
    Source,
    parts_by_content,
    pictures_of,
    random_part,
)
from atrous.datasets.version_steps import VersionSteps, read_version_steps
from atrous.domain.errors import BadDataset
from atrous.images.decode import decode_image
from atrous.images.draw import encode_jpeg, encode_png
from atrous.jobs.photo_blobs import label_data, photo_data
from atrous.jobs.settling import FractionReport
from atrous.masks.png import decode_label_map, encode_label_map
from atrous.store.blobs import Blobs
from atrous.store.images import MAX_IMAGE_NAME
from atrous.store.jobs import Job
from atrous.store.opening import Store
from atrous.store.versions import FrozenImage, Version, Versions

JPEG_QUALITY = 95
ROWS_AT_ONCE = 100  # pictures that are made between two commits
AHEAD = 2  # photos in work per thread: the memory that a version takes is bounded by it
In = TypeVar("In")
Out = TypeVar("Out")
MOST_PICTURES = 2**31 - 1  # places that a version has
NOTHING_LEFT = "the steps leave no image; ask for less of 'filter-null' or 'isolate'"


@dataclass(frozen=True)
class _Making:
    """What every photo of a version is made with."""

    blobs: Blobs
    steps: VersionSteps
    new_ids: UInt8[np.ndarray, "256"]  # by old class id
    seed: int
    training: Sequence[FrozenImage]  # for mosaics
    gone: Mapping[str, frozenset[str]] = field(default_factory=dict)  # parts left out, by photo

    def changes(self, source: FrozenImage) -> bool:
        """Whether the photo's file may not do as it is."""
        preparation, augmentation = self.steps.preparation, self.steps.augmentation
        by_chance = source.split == "train" and augmentation.changes_pixels
        return preparation.changes_pixels or preparation.auto_orient or by_chance


def generate_version(job: Job, worker: str, store: Store) -> dict[str, Any]:
    """Make the pictures, and publish them when all are there.

    They are recorded while they are made: after a crash the job goes on behind the last record.
    The random numbers of each follow from the seed and its photo's content, so that neither that
    nor the order in which they are made can be seen in them.
    """
    version = store.versions.by_id(job.workspace_id, job.payload["version_id"])
    steps = read_version_steps(version.preprocessing, version.augmentation)
    sources = store.versions.sources(version)
    if len(sources) * steps.most_pictures > MOST_PICTURES:
        raise BadDataset(
            f"{len(sources)} photos of {steps.most_pictures} pictures each are more than the "
            f"{MOST_PICTURES} that a version can have; ask for fewer tiles or copies"
        )
    names, new_ids = remap_classes(version.class_names, steps.preparation.remap)
    training = [source for source in sources if source.split == "train"]
    making = _Making(store.blobs, steps, new_ids, version.seed, training)
    report = FractionReport(job, worker, store, total=len(sources))
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:  # decoding leaves Python's lock
        making = replace(making, gone=_left_out(pool, making, sources))
        _make_all(pool, making, sources, version, store.versions, report)
    images = store.versions.publish(version, names)
    if not images:
        raise BadDataset(NOTHING_LEFT)
    return {"images": images}


def _make_all(
    pool: Executor,
    making: _Making,
    sources: Sequence[FrozenImage],
    version: Version,
    versions: Versions,
    report: FractionReport,
) -> None:
    """Make and record what is not recorded yet. Each photo has places for all it can become."""
    room = making.steps.most_pictures
    done = {place // room for place in versions.made_places(version)}
    missing = [index for index in range(len(sources)) if index not in done]
    for _ in done:
        report.step()
    unrecorded: dict[int, FrozenImage] = {}
    made = _in_order(pool, partial(_make, making), (sources[index] for index in missing))
    for index, images in zip(missing, made, strict=True):
        unrecorded.update(enumerate(images, start=index * room))
        if len(unrecorded) >= ROWS_AT_ONCE:
            versions.record(version, unrecorded)
            unrecorded = {}
        report.step()
    versions.record(version, unrecorded)


def _in_order(pool: Executor, work: Callable[[In], Out], items: Iterable[In]) -> Iterator[Out]:
    """Like `pool.map`, with a few items in work at a time, however many there are."""
    waiting: deque[Future[Out]] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) >= AHEAD * (os.cpu_count() or 1):
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _left_out(
    pool: Executor, making: _Making, sources: Sequence[FrozenImage]
) -> dict[str, frozenset[str]]:
    """The parts of photos that go because they show no class, by key of their photo."""
    percent = making.steps.preparation.labelled_percent
    if not percent:
        return {}
    labelled, empty = 0, {}
    parts_of_all = _in_order(pool, partial(_parts, making), sources)
    for source, parts in zip(sources, parts_of_all, strict=True):
        labelled += sum(parts.values())
        key = _key(source)
        empty.update({key + suffix: (key, suffix) for suffix, shows in parts.items() if not shows})
    gone: dict[str, set[str]] = {}
    for name in left_out(list(empty), labelled, percent, making.seed):
        key, suffix = empty[name]
        gone.setdefault(key, set()).add(suffix)
    return {key: frozenset(suffixes) for key, suffixes in gone.items()}


def _parts(making: _Making, source: FrozenImage) -> dict[str, bool]:
    return parts_by_content(_label_map(making, source), making.steps)


def _make(making: _Making, source: FrozenImage) -> list[FrozenImage]:
    """The pictures of one photo, stored."""
    data = photo_data(making.blobs, source)
    label_map, gone = _label_map(making, source), making.gone.get(_key(source), frozenset())
    if not making.changes(source):
        label = making.blobs.put(encode_label_map(label_map))
        return [] if gone else [replace(source, label_digest=label.digest)]
    opened = Source(_key(source), decode_image(data, max_pixels=source.pixels), label_map)
    pictures = pictures_of(
        opened,
        making.steps,
        seed=making.seed,
        augmented=source.split == "train",
        partner=partial(_partner, making, opened),
        gone=gone,
    )
    return [_store(making, source, picture, data) for picture in pictures]


def _store(making: _Making, source: FrozenImage, picture: Picture, data: bytes) -> FrozenImage:
    """Store a picture and its label; the photo's file where its pixels are as they came."""
    label = making.blobs.put(encode_label_map(picture.label_map))
    upright = making.steps.preparation.auto_orient
    if picture.as_it_came and not (upright and _is_turned(data, picture.image)):
        return replace(source, label_digest=label.digest)
    is_jpeg = source.media_type == "image/jpeg"
    encoded = (
        encode_jpeg(picture.image, quality=JPEG_QUALITY) if is_jpeg else encode_png(picture.image)
    )
    height, width = picture.label_map.shape
    return FrozenImage(
        name=_named(source.name, picture.suffix),
        split=source.split,
        media_type="image/jpeg" if is_jpeg else "image/png",
        image_digest=making.blobs.put(encoded).digest,
        label_digest=label.digest,
        height=height,
        width=width,
    )


def _named(name: str, suffix: str) -> str:
    """The name of a photo's part or copy, no longer than names may be."""
    path = PurePosixPath(name)
    ending = f"{suffix}{path.suffix}"
    return f"{path.stem[: MAX_IMAGE_NAME - len(ending)]}{ending}"


def _partner(making: _Making, own: Source, rng: np.random.Generator) -> Pair:
    """A part of any photo to train on; of the photo itself where that one has no part."""
    chosen = making.training[int(rng.integers(0, len(making.training)))]
    image = decode_image(photo_data(making.blobs, chosen), max_pixels=chosen.pixels)
    other = Source(_key(chosen), image, _label_map(making, chosen))
    return random_part(other, making.steps, rng) or (own.image, own.label_map)


def _key(source: FrozenImage) -> str:
    return f"{source.image_digest}/{source.label_digest}"


def _label_map(making: _Making, source: FrozenImage) -> UInt8[np.ndarray, "height width"]:
    stored = decode_label_map(label_data(making.blobs, source), max_pixels=source.pixels)
    return np.asarray(np.take(making.new_ids, stored), np.uint8)


def _is_turned(data: bytes, upright: UInt8[np.ndarray, "height width 3"]) -> bool:
    """Whether EXIF turns or mirrors the photo, so that its pixels do not lie as they are shown."""
    height, width = upright.shape[:2]
    stored = decode_image(data, auto_orient=False, max_pixels=height * width)
    return not np.array_equal(stored, upright)
