"""`atrous evaluate`: figures of a model on a split of a data set."""

import json
from typing import TYPE_CHECKING, Annotated, Literal

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
from atrous.cli.model_argument import ModelArgument, find_package

if TYPE_CHECKING:
    from atrous.jobs.evaluate import Evaluation


def evaluate_command(
    model: ModelArgument,
    directory: DirectoryArgument,
    split: Annotated[
        str | None,
        typer.Option(help="train, valid or test. Default: test, or valid where there is none."),
    ] = None,
    format: FormatOption = None,
    classes: ClassesOption = None,
    classes_file: ClassesFileOption = None,
    ignore_id: IgnoreIdOption = None,
    engine: Annotated[
        Literal["auto", "openvino", "onnxruntime"], typer.Option(help="What runs the network.")
    ] = "auto",
    precision: Annotated[
        Literal["auto", "fp32", "bf16"], typer.Option(help="What it computes in.")
    ] = "auto",
    as_json: Annotated[
        bool, typer.Option("--json", help="All figures as JSON on standard output.")
    ] = False,
) -> None:
    """Measure a model on labelled pictures: mIoU and figures per class.

    Every photo is predicted at its own size, as a server would, and one confusion matrix is
    taken over all pixels. Classes are matched by name.

    \b
    Example:  atrous evaluate cats/1 pictures/
              atrous evaluate cats/1 pictures/ --split valid --json
    """
    from atrous.datasets.detect import open_dataset
    from atrous.jobs.evaluate import measure_package

    package = find_package(model)
    # Photos that were held out for validation are drawn by the training's seed.
    seed = package.manifest.get("recipe", {}).get("seed", 0)
    options = read_dataset_options(format, classes, classes_file, ignore_id, seed)
    dataset = open_dataset(directory, options)
    chosen = split or ("test" if dataset.splits.get("test") else "valid")
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("evaluating")
        evaluation = measure_package(
            package,
            dataset,
            chosen,
            engine=engine,
            precision=precision,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if as_json:
        print(json.dumps({"model": model, **evaluation.as_json()}))
    else:
        _print_table(model, evaluation)


def _print_table(model: str, evaluation: "Evaluation") -> None:
    console, report = Console(), evaluation.report
    console.print(
        f"{model} on {evaluation.photos} photos of {evaluation.split} "
        f"({evaluation.engine}, {evaluation.precision})",
        highlight=False,
    )
    table = Table("class", box=None, pad_edge=False)
    for heading in ("IoU", "precision", "recall", "pixels"):
        table.add_column(heading, justify="right")
    for entry in report["classes"]:
        figures = [_figure(entry[key]) for key in ("iou", "precision", "recall")]
        table.add_row(entry["name"].replace("[", r"\["), *figures, f"{entry['pixels']:,}")
    console.print(table)
    console.print(
        f"mIoU {_figure(report['miou'])}, pixel accuracy {_figure(report['pixel_accuracy'])}"
    )


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
