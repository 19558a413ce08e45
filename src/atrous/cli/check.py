"""`atrous check`: what a data set holds, and every fault in it."""

from collections import Counter
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from atrous.cli.dataset_options import (
    ClassesFileOption,
    ClassesOption,
    DirectoryArgument,
    FormatOption,
    IgnoreIdOption,
    read_dataset_options,
)

if TYPE_CHECKING:
    from atrous.datasets.check import CheckReport
    from atrous.datasets.version import Dataset

BAR_WIDTH = 16  # characters of the largest class


def check_command(
    directory: DirectoryArgument,
    format: FormatOption = None,
    classes: ClassesOption = None,
    classes_file: ClassesFileOption = None,
    ignore_id: IgnoreIdOption = None,
) -> None:
    """Read every picture and label of a data set; count its classes and list its faults.

    Exits with 1 where there is a fault.

    \b
    Example:  atrous check pictures/
              atrous check camvid/ --classes sky,building,pole --ignore-id 11
    """
    from atrous.datasets.detect import open_dataset

    options = read_dataset_options(format, classes, classes_file, ignore_id)
    report = check_with_progress(open_dataset(directory, options))
    print_report(report, Console())
    if not report.ok:
        raise typer.Exit(1)


def check_with_progress(dataset: "Dataset") -> "CheckReport":
    """Check a data set with a progress bar on standard error."""
    from atrous.datasets.check import check_dataset

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading")
        return check_dataset(
            dataset, lambda done, total: bar.update(task, completed=done, total=total)
        )


def print_report(report: "CheckReport", console: Console) -> None:
    """Print format, counts per split and class, notes and faults."""
    dataset = report.dataset
    names = ", ".join(dataset.classes.names[class_id] for class_id in dataset.classes.labelled_ids)
    _say(console, f"format: {dataset.format}")
    _say(console, f"classes: {len(dataset.classes.labelled_ids)} ({names})")
    if not dataset.classes.background_labelled:
        _say(console, "id 0 of a model is an unused background; figures leave it out")
    console.print(_split_table(report))
    console.print(_class_table(report))
    for note in report.notes:
        _say(console, f"note: {note}")
    for fault in report.faults:
        _say(console, f"fault: {fault.file} ({fault.split}): {fault.kind}: {fault.message}")
    if report.ok and report.untrainable:
        _say(console, f"note: can't be trained on: {report.untrainable}")
    kinds = Counter(fault.kind for fault in report.faults)
    said = ", ".join(f"{kind} ({count})" for kind, count in kinds.most_common())
    _say(console, f"{len(report.faults)} faults: {said}" if said else "no faults")


def _say(console: Console, line: str) -> None:
    """Print a line as it is: file names may hold brackets, and must not be wrapped."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def _split_table(report: "CheckReport") -> Table:
    table = Table("split", box=None, pad_edge=False)
    for heading in ("images", "labelled pixels", "ignored pixels"):
        table.add_column(heading, justify="right")
    for split, counts in report.counts.items():
        labelled = int(counts.pixels.sum())
        table.add_row(split, f"{counts.images}", f"{labelled:,}", f"{counts.ignored_pixels:,}")
    return table


def _class_table(report: "CheckReport") -> Table:
    """Share of all labelled pixels, and how many images of each split show the class."""
    table = Table(box=None, pad_edge=False)
    table.add_column("id", justify="right")
    table.add_column("class", overflow="fold")
    table.add_column("share", justify="right")
    table.add_column("", min_width=BAR_WIDTH)
    for split in report.counts:
        table.add_column(f"in {split}", justify="right")
    pixels = report.class_pixels
    shares = pixels / max(1, int(pixels.sum()))
    for class_id in report.dataset.classes.labelled_ids:
        share = float(shares[class_id])
        images = [str(int(counts.images_with[class_id])) for counts in report.counts.values()]
        bar = "█" * round(BAR_WIDTH * share / max(float(shares.max()), 1e-9))
        name = report.dataset.classes.names[class_id].replace("[", r"\[")
        table.add_row(str(class_id), name, f"{share:.2%}", bar, *images)
    return table
