"""Whether a network can learn anything of a data set that has no faults."""

from collections.abc import Sequence

from atrous.datasets.png_masks import MaskFile
from atrous.datasets.version import Dataset
from atrous.domain.classes import BACKGROUND


def why_untrainable(dataset: Dataset, class_pixels: Sequence[int] = ()) -> str | None:
    """What training lacks, and what to add; None for a set that can be trained on.

    class_pixels: labelled pixels of every class id in the training split; none where they were
        not counted.
    """
    photos = len(dataset.splits.get("train", ()))
    if photos == 0:
        return (
            f"{dataset.root} has no photos to train on: its train split is empty; add photos with "
            "labels to it"
        )
    if photos == 1 and not dataset.splits.get("valid"):
        return (
            f"{dataset.root} has one labelled photo, and one photo alone can't be trained on and "
            "validated with: add a second, or a valid split"
        )
    # there may be no counts
    seen = [
        name for name, pixels in zip(dataset.classes.names, class_pixels, strict=False) if pixels
    ]
    if not class_pixels or len(seen) > 1:
        return None
    shown = f"one class alone, {seen[0]}" if seen else "no class at all"
    second = "another class than background" if seen == [BACKGROUND] else "a second class"
    return (
        f"the training labels of {dataset.root} show {shown}: there is nothing to tell apart. "
        f"Label {second} in some of the photos{_ignored(dataset)}"
    )


def _ignored(dataset: Dataset) -> str:
    """What else would help where a value of the masks was left out on purpose."""
    label = dataset.splits["train"][0].label
    raw_ids = sorted(label.lookup.ignored) if isinstance(label, MaskFile) else []
    if not raw_ids:
        return ""
    return f"; pixels of {raw_ids[0]} are ignored: leave --ignore-id out if they mean a class"
