"""Photos that were all read once before anything is measured on them: faults are refused."""

import logging
import shlex
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from atrous.datasets.check import CheckReport, check_dataset
from atrous.datasets.detect import DatasetOptions
from atrous.datasets.version import Dataset, Sample
from atrous.domain.errors import BadDataset

logger = logging.getLogger(__name__)
EVERY = "all"  # what the photos of all splits together are called
FAULTS_SHOWN = 5  # in the message that refuses a faulty set; `atrous check` lists them all


def with_sound_split(
    dataset: Dataset,
    split: str,
    *,
    skip_bad: bool = False,
    options: DatasetOptions | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """The data set with this split alone, or with `all` photos of it as a split of that name.

    A pixel value without a name would be left out of every figure, and nobody would see it.

    skip_bad: leave faulty photos out instead of refusing.
    options: those that the data set was opened with, if any, for what a refusal says.
    Raises BadDataset for a split that is not there, and for faults.
    """
    samples = _of_all(dataset) if split == EVERY else dataset.splits.get(split, ())
    if not samples:
        raise BadDataset(
            f"{dataset.root} has no photos in split {split!r}; it has {', '.join(dataset.splits)}"
        )
    faults = tuple(fault for fault in dataset.faults if split in (EVERY, fault.split))
    report = check_dataset(replace(dataset, splits={split: samples}, faults=faults), progress)
    kept = report.dataset.without(
        {(fault.split, fault.sample) for fault in report.faults if fault.sample}
    )
    if report.faults and not skip_bad:
        instead = "leaves them out" if kept.splits else None
        raise BadDataset(refusal(report, dataset.root, options or DatasetOptions(), instead))
    log_left_out(report)
    if not kept.splits:
        raise BadDataset(f"no photo of split {split!r} of {dataset.root} is without a fault")
    return kept


def refusal(
    report: CheckReport, directory: Path, options: DatasetOptions, instead: str | None
) -> str:
    """What is wrong with a set, and what `--skip-bad` would do `instead`; None: nothing of use."""
    shown = "; ".join(f"{fault.file}: {fault.message}" for fault in report.faults[:FAULTS_SHOWN])
    more = len(report.faults) - FAULTS_SHOWN
    return (
        f"{directory} has {len(report.faults)} faults: {shown}"
        + (f"; and {more} more" if more > 0 else "")
        + f". `{_check_command(directory, options)}` lists them"
        + (f"; --skip-bad {instead}" if instead else "")
    )


def _check_command(directory: Path, options: DatasetOptions) -> str:
    """The command that reads the folder in the same way."""
    given = {
        "--format": options.format,
        "--classes": ",".join(options.classes) if options.classes else None,
        "--classes-file": options.classes_file,
        "--ignore-id": options.ignore_id,
    }
    words = [word for name, value in given.items() if value is not None for word in (name, value)]
    return shlex.join(["atrous", "check", str(directory), *map(str, words)])


def log_left_out(report: CheckReport) -> None:
    """A warning for every fault, whose photo is left out."""
    for fault in report.faults:
        logger.warning("left out: %s (%s): %s", fault.file, fault.split, fault.message)


def _of_all(dataset: Dataset) -> tuple[Sample, ...]:
    """The photos of all splits, with the split before a name that several have."""
    named = [(split, sample) for split, samples in dataset.splits.items() for sample in samples]
    times = Counter(sample.name for _, sample in named)
    return tuple(
        replace(sample, name=f"{split}/{sample.name}") if times[sample.name] > 1 else sample
        for split, sample in named
    )
