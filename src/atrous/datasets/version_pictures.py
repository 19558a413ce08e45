"""What a version makes of a labelled photo: its parts, and changed copies of each to train on."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from atrous.datasets.augmentations.augmentation import Partner, change_look, move, random_stream
from atrous.datasets.preparation import cut, cut_boxes, resized, shows_class
from atrous.datasets.version_steps import VersionSteps


@dataclass(frozen=True)
class Source:
    """An upright RGB photo and its label map, in the version's classes."""

    key: str  # tells its content: its random numbers follow from that and the seed
    image: UInt8[np.ndarray, "height width 3"]
    label_map: UInt8[np.ndarray, "height width"]


@dataclass(frozen=True)
class Picture:
    """One picture of a version."""

    suffix: str  # for its name: which part and which copy it is; none for a whole photo
    image: UInt8[np.ndarray, "height width 3"]
    label_map: UInt8[np.ndarray, "height width"]
    as_it_came: bool  # no pixel was changed, so that the photo's file will do


def pictures_of(
    source: Source,
    steps: VersionSteps,
    *,
    seed: int,
    augmented: bool,
    partner: Partner,
    gone: Collection[str] = (),
) -> Iterator[Picture]:
    """Make the pictures of one photo, each with random numbers of its own.

    augmented: whether it is one of the photos to train on. Of several copies the first is not
        changed by chance; a single one is.
    partner: gives a part of another photo, see `random_part`.
    gone: suffixes of parts that are left out.
    """
    preparation, augmentation = steps.preparation, steps.augmentation
    copies = augmentation.copies if augmented else 1
    for suffix, box in cut_boxes(source.label_map, preparation):
        if suffix in gone:
            continue
        part = cut(source.image, source.label_map, box, preparation)
        for copy in range(1, copies + 1):
            plain = not (augmented and augmentation.changes_pixels) or (copy == 1 < copies)
            if plain:
                image, label_map = resized(*part, preparation.resize)
                unchanged = not preparation.changes_pixels
                yield Picture(suffix, image, label_map, as_it_came=unchanged)
                continue
            rng = random_stream(seed, f"{source.key}{suffix}/{copy}")
            moved = move(*part, augmentation, rng, partner)
            image, label_map = change_look(*resized(*moved, preparation.resize), augmentation, rng)
            yield Picture(f"{suffix}_a{copy}", image, label_map, as_it_came=False)


def random_part(
    source: Source, steps: VersionSteps, rng: np.random.Generator
) -> tuple[UInt8[np.ndarray, "height width 3"], UInt8[np.ndarray, "height width"]] | None:
    """One part of a photo, for a mosaic of another; None where it has none."""
    boxes = cut_boxes(source.label_map, steps.preparation)
    if not boxes:
        return None
    _, box = boxes[int(rng.integers(0, len(boxes)))]
    return cut(source.image, source.label_map, box, steps.preparation)


def parts_by_content(
    label_map: UInt8[np.ndarray, "height width"], steps: VersionSteps
) -> dict[str, bool]:
    """The suffix of every part that a photo is cut into, and whether it shows a class."""
    return {
        suffix: shows_class(label_map[box.top : box.bottom, box.left : box.right])
        for suffix, box in cut_boxes(label_map, steps.preparation)
    }
