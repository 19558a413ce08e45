"""Holds out a validation split where a data set has none, the same one every time."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from atrous.datasets.version import Dataset, Sample
from atrous.domain.errors import BadDataset

HELD_OUT_SHARE = 0.2


def hold_out(
    samples: Sequence[Sample], *, share: float = HELD_OUT_SHARE, seed: int = 0
) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Part samples into (train, valid), `share` (0..1) of them and at least one being held out.

    Those with the smallest hash of seed and name are held out: the choice doesn't depend on the
    order of the samples, and a few pictures more or less move few others.
    """
    if len(samples) < 2:
        raise BadDataset(
            f"{len(samples)} training samples can't be parted into train and valid; "
            "give at least 2, or a valid split"
        )
    ranked = sorted(samples, key=lambda sample: _rank(sample.name, seed))
    held_out = {sample.name for sample in ranked[: max(1, round(len(samples) * share))]}
    return (
        tuple(sample for sample in samples if sample.name not in held_out),
        tuple(sample for sample in samples if sample.name in held_out),
    )


def with_valid_split(dataset: Dataset, seed: int = 0) -> Dataset:
    """The data set with a validation split, held out from train where it has none, and a note.

    A data set that can't have one (no train split, or a single picture) is given back as it is.
    """
    samples = dataset.splits.get("train", ())
    if "valid" in dataset.splits or len(samples) < 2:
        return dataset
    train, valid = hold_out(samples, seed=seed)
    note = (
        f"there is no valid split: {len(valid)} of {len(samples)} training pictures are held out "
        f"for validation (by their names and seed {seed})"
    )
    others = {split: kept for split, kept in dataset.splits.items() if split != "train"}
    return replace(
        dataset,
        splits={"train": train, "valid": valid, **others},
        faults=tuple(
            replace(fault, split="valid")
            if fault.split == "train" and fault.sample in {sample.name for sample in valid}
            else fault
            for fault in dataset.faults
        ),
        notes=(*dataset.notes, note),
        valid_is_drawn=True,
    )


def _rank(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}/{name}".encode()).digest()
