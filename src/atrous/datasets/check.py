"""Reads a whole data set once: counts per split and class, and every fault with its file."""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int64, UInt8

from atrous.datasets.split import with_valid_split
from atrous.datasets.trainable import why_untrainable
from atrous.datasets.version import Dataset, Fault, FaultKind, Sample
from atrous.domain.classes import IGNORE_ID
from atrous.domain.errors import BadDataset, BadImage
from atrous.domain.geometry import Size
from atrous.images.decode import decode_image, pixel_format

# Of a picture that lies in two splits, the copy in the last of these is kept: a figure on the
# test split means something only if training has not seen its pictures.
KEPT_LAST = ("all", "train", "valid", "test")
LEAST_OF_DEEP = 32  # of 255: less is left of pictures of 12 bits that lie in 16
BLACK_AND_WHITE = (
    "have no class name: a black-and-white mask. Save it with 1 instead of 255, as "
    "docs/data_sets.md#masks shows; or pass --ignore-id 255 if white means nothing"
)
LEFT_OUT = {
    "alpha": "an alpha channel, which is dropped: the colours under it are seen",
    "bits": "16 bits per channel, of which the upper 8 are seen",
    "nearly all": "16 bits per channel, of which the upper 8 are seen, and nearly black so: their "
    "values don't use the whole range. Scale them to 0..65535, or save them with 8 bits",
}


@dataclass(frozen=True)
class SplitCounts:
    """What the samples of one split hold whose photo and label could be read."""

    images: int
    pixels: Int64[np.ndarray, " classes"]  # per class id
    images_with: Int64[np.ndarray, " classes"]  # images where the class occurs, per class id
    pixels_beside: Int64[np.ndarray, " classes"]  # of all classes, in those images
    ignored_pixels: int


@dataclass(frozen=True)
class CheckReport:
    """The outcome of reading every sample."""

    dataset: Dataset
    faults: tuple[Fault, ...]
    counts: dict[str, SplitCounts]  # by split
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether there is no fault."""
        return not self.faults

    @property
    def untrainable(self) -> str | None:
        """Why nothing can be learnt of it, faults aside; None where something can."""
        train = self.counts.get("train")
        return why_untrainable(self.dataset, train.pixels.tolist() if train else ())

    @property
    def class_pixels(self) -> Int64[np.ndarray, " classes"]:
        """Pixels per class id over all splits: the class balance."""
        total = np.zeros(len(self.dataset.classes), dtype=np.int64)
        for counts in self.counts.values():
            total += counts.pixels
        return total

    def usable(self, seed: int = 0) -> Dataset:
        """The data set without its faulty samples.

        Where no validation sample is left, some are held out of train anew, drawn by `seed`.
        """
        faulty = {(fault.split, fault.sample) for fault in self.faults if fault.sample}
        return with_valid_split(self.dataset.without(faulty), seed)


@dataclass(frozen=True)
class _Reading:
    """What one sample turned out to be."""

    content_hash: str | None  # of the image file; None where it can't be read
    class_pixels: Int64[np.ndarray, "256"] | None  # per model id; None where it can't be read
    faults: tuple[Fault, ...]
    left_out: frozenset[str] = frozenset()  # of the file's pixels: keys of LEFT_OUT


def check_dataset(
    dataset: Dataset, progress: Callable[[int, int], None] | None = None
) -> CheckReport:
    """Decode every image and label, and compare them with each other.

    `progress(done, total)` is called after each sample, from the calling thread.
    """
    tasks = [(split, sample) for split, samples in dataset.splits.items() for sample in samples]
    readings: list[_Reading] = []
    # decoding leaves Python's lock, so threads are enough
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for reading in pool.map(lambda task: _read_sample(dataset, *task), tasks):
            readings.append(reading)
            if progress:
                progress(len(readings), len(tasks))

    copies, notes = _find_copies(dataset, tasks, readings)
    notes += _left_out(tasks, readings)
    empty = [
        Fault(split, split, "empty split", "it has no image with a label; fill or remove it")
        for split, samples in dataset.splits.items()
        if not samples
    ]
    found = [fault for reading in readings for fault in reading.faults]
    counts = _count(dataset, tasks, readings)
    return CheckReport(
        dataset,
        (*dataset.faults, *empty, *found, *copies),
        counts,
        (*dataset.notes, *notes, *_absent_classes(dataset, counts)),
    )


def _read_sample(dataset: Dataset, split: str, sample: Sample) -> _Reading:
    def faulty(kind: FaultKind, message: str, file: str = "") -> _Reading:
        named = file or sample.label.paths()[0].relative_to(dataset.root).as_posix()
        # the loaders begin their messages with the file, which the fault names already
        said = message.removeprefix(f"{sample.label.paths()[0]}: ")
        return _Reading(content_hash, None, (Fault(split, named, kind, said, sample.name),))

    content_hash = None
    image_file = sample.image.relative_to(dataset.root).as_posix()
    try:
        data = sample.image.read_bytes()
        content_hash = hashlib.sha256(data).hexdigest()
        pixels = decode_image(data)
        size, left_out = Size(*pixels.shape[:2]), _kinds_left_out(data, pixels)
    except (OSError, BadImage) as error:
        return faulty("undecodable image", str(error), image_file)
    try:
        label_map = sample.label.read(size)
    except BadDataset as error:
        return faulty("size mismatch", str(error))
    except BadImage as error:
        return faulty("undecodable label", str(error))
    sound = _Reading(content_hash, _count_ids(label_map), (), left_out)
    unknown = sample.label.unknown_ids(size) if (label_map == IGNORE_ID).any() else {}
    if unknown:
        said = ", ".join(f"{raw_id} ({pixels} pixels)" for raw_id, pixels in unknown.items())
        remedy = _remedy(unknown)
        if _is_black_and_white(dataset, unknown, sound.class_pixels):
            remedy = BLACK_AND_WHITE
        outcome = faulty("id outside the class list", f"mask ids {said} {remedy}")
        return replace(outcome, class_pixels=sound.class_pixels)
    return sound


def _kinds_left_out(data: bytes, pixels: UInt8[np.ndarray, "height width 3"]) -> frozenset[str]:
    """What of a picture file is not in the pixels that were decoded of it."""
    found = pixel_format(data)
    kinds = {"alpha"} if found.has_alpha else set()
    if found.is_deep:
        kinds.add("bits" if pixels.max() >= LEAST_OF_DEEP else "nearly all")
    return frozenset(kinds)


def _left_out(tasks: list[tuple[str, Sample]], readings: list[_Reading]) -> list[str]:
    """A note for each kind of pixels that are read otherwise than they were saved."""
    notes = []
    for kind, meaning in LEFT_OUT.items():
        names = [
            sample.name
            for (_, sample), reading in zip(tasks, readings, strict=True)
            if kind in reading.left_out
        ]
        if names:
            count = f"{len(names)} of {len(tasks)} pictures"
            notes.append(f"{count}: {meaning}; the first is {names[0]}")
    return notes


def _remedy(unknown: Iterable[int]) -> str:
    only = list(unknown)
    if len(only) == 1:
        return f"have no class name; name them, or pass --ignore-id {only[0]} if they mean nothing"
    return "have no class name; give a longer list of classes or repair the mask"


def _is_black_and_white(
    dataset: Dataset, unknown: Iterable[int], class_pixels: Int64[np.ndarray, "256"] | None
) -> bool:
    """Whether a mask of two classes has 255 where it should have 1, and else 0 alone."""
    labelled = dataset.classes.labelled_ids
    seen = set() if class_pixels is None else set(np.flatnonzero(class_pixels).tolist())
    return len(labelled) == 2 and list(unknown) == [255] and seen <= {labelled[0], IGNORE_ID}


def _count_ids(label_map: UInt8[np.ndarray, "height width"]) -> Int64[np.ndarray, "256"]:
    return np.bincount(label_map.ravel(), minlength=256).astype(np.int64)


def _find_copies(
    dataset: Dataset, tasks: list[tuple[str, Sample]], readings: list[_Reading]
) -> tuple[list[Fault], list[str]]:
    """Faults on pictures that lie in two splits, notes on those that lie twice in one."""
    places: dict[str, list[tuple[str, Sample]]] = defaultdict(list)
    for task, reading in zip(tasks, readings, strict=True):
        if reading.content_hash:
            places[reading.content_hash].append(task)
    faults: list[Fault] = []
    repeated: Counter[str] = Counter()
    for copies in places.values():
        kept_split, kept = max(copies, key=lambda copy: KEPT_LAST.index(copy[0]))
        for split, sample in copies:
            if split == kept_split:
                repeated[split] += sample is not kept
                continue
            file, other = (
                path.relative_to(dataset.root).as_posix() for path in (sample.image, kept.image)
            )
            message = f"the same picture as {other} of {kept_split}; remove one"
            faults.append(Fault(split, file, "image in two splits", message, sample.name))
    notes = [
        f"{count} pictures of {split} are copies of others in it"
        for split, count in repeated.items()
        if count
    ]
    return faults, notes


def _count(
    dataset: Dataset, tasks: list[tuple[str, Sample]], readings: list[_Reading]
) -> dict[str, SplitCounts]:
    class_count = len(dataset.classes)
    counts = {}
    for split in dataset.splits:
        rows = [
            reading.class_pixels
            for (owner, _), reading in zip(tasks, readings, strict=True)
            if owner == split and reading.class_pixels is not None
        ]
        table = np.array(rows, dtype=np.int64).reshape(len(rows), 256)
        labelled = table[:, :class_count]
        counts[split] = SplitCounts(
            images=len(rows),
            pixels=labelled.sum(axis=0),
            images_with=(labelled > 0).sum(axis=0),
            pixels_beside=(labelled.sum(axis=1, keepdims=True) * (labelled > 0)).sum(axis=0),
            ignored_pixels=int(table[:, IGNORE_ID].sum()),
        )
    return counts


def _absent_classes(dataset: Dataset, counts: dict[str, SplitCounts]) -> list[str]:
    """A note on the labelled classes that no training picture shows, so that none is learnt."""
    if "train" not in counts or not counts["train"].images:
        return []
    absent = [
        dataset.classes.names[class_id]
        for class_id in dataset.classes.labelled_ids
        if not counts["train"].pixels[class_id]
    ]
    return [f"no training picture shows {', '.join(absent)}"] if absent else []
