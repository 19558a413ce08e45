"""`atrous evaluate`: figures of a model on a split of a data set."""

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

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
    SkipBadOption,
    read_dataset_options,
)
from atrous.cli.model_argument import ModelArgument, find_package
from atrous.cli.view_options import FlipOption, ScalesOption, WindowOption, read_views
from atrous.cli.written_folders import make_writable

if TYPE_CHECKING:
    from atrous.datasets.version import Dataset
    from atrous.jobs.evaluate import Evaluation
    from atrous.packages.directory import ModelPackage

EngineOption = Annotated[
    Literal["auto", "openvino", "onnxruntime"],
    typer.Option(help="What runs the network; auto: OpenVINO where it is installed."),
]
PrecisionOption = Annotated[
    Literal["auto", "fp32", "bf16"],
    typer.Option(help="What it computes in; auto: bf16 where the processor gains by it."),
]
SplitOption = Annotated[
    str | None,
    typer.Option(
        help="train, valid, test or all. Default: test, or valid where there is none; all where a "
        "valid split would have to be drawn for a model that was not trained here."
    ),
]
ReportOption = Annotated[
    Path | None,
    typer.Option(help="A folder for report.html, metrics.json and the pictures in them."),
]
StrideOption = Annotated[
    Literal["8", "16"] | None,
    typer.Option(
        help="Measure the network at this output stride; other than the package's, it needs the "
        "checkpoint of the training."
    ),
]


def evaluate_command(
    model: ModelArgument,
    directory: DirectoryArgument,
    split: SplitOption = None,
    format: FormatOption = None,
    classes: ClassesOption = None,
    classes_file: ClassesFileOption = None,
    ignore_id: IgnoreIdOption = None,
    skip_bad: SkipBadOption = False,
    engine: EngineOption = "auto",
    precision: PrecisionOption = "auto",
    as_json: Annotated[
        bool, typer.Option("--json", help="All figures as JSON on standard output.")
    ] = False,
    window: WindowOption = None,
    scales: ScalesOption = None,
    flip: FlipOption = False,
    output_stride: StrideOption = None,
    report: ReportOption = None,
) -> None:
    """Measure a model on labelled pictures: mIoU, figures per class and much more.

    Every photo is predicted at its own size, as a server would, and one confusion matrix is
    taken over all pixels. Classes are matched by name. Any package can be measured.

    \b
    Example:  atrous evaluate cats/1 pictures/
              atrous evaluate cats/1 pictures/ --split valid --json
              atrous evaluate cats/1 pictures/ --report cats-report/
    """
    from atrous.datasets.detect import open_dataset

    stride = int(output_stride) if output_stride else None
    with _package(model, stride) as package:
        # Photos that were held out for validation are drawn by the training's seed.
        seed = package.manifest.get("recipe", {}).get("seed", 0)
        options = read_dataset_options(format, classes, classes_file, ignore_id, seed)
        dataset = open_dataset(directory, options)
        if report is not None:
            make_writable(report, "--report")  # before minutes of work
        evaluation = _measure(
            package,
            dataset,
            split or _usual_split(dataset, package),
            {"skip_bad": skip_bad, "options": options},
            engine=engine,
            precision=precision,
            views=read_views(window, scales, flip),
            with_photos=report is not None,
        )
    at_stride = f" at output stride {stride}" if stride else ""
    if report is not None:
        _write_report(report, model, f"{directory.absolute().name}{at_stride}", evaluation)
    if as_json:
        print(json.dumps({"model": model, "output_stride": stride, **evaluation.as_json()}))
    else:
        _print_table(f"{model}{at_stride}", evaluation)


def _usual_split(dataset: "Dataset", package: "ModelPackage") -> str:
    """What is measured where nobody says it; notes of how the set is parted go to the terminal."""
    if dataset.splits.get("test"):
        return "test"
    if "recipe" in package.manifest or not dataset.valid_is_drawn:
        for note in dataset.notes:
            print(f"note: {note}", file=sys.stderr)
        if dataset.valid_is_drawn:
            print("note: --split all measures every picture", file=sys.stderr)
        return "valid" if dataset.splits.get("valid") else "all"
    return "all"  # what a training would hold out means nothing to it


@contextmanager
def _package(model: str, output_stride: int | None) -> Iterator["ModelPackage"]:
    """The package to measure; at an output stride that was asked for it is made for the while."""
    if output_stride is None:
        yield find_package(model)
        return
    from atrous.cli.train import require_training

    require_training()
    from atrous.export.variant import VariantRequest
    from atrous.jobs.export import export_model, find_source
    from atrous.store.home import home_folder
    from atrous.store.opening import open_store

    with open_store(home_folder()) as store, tempfile.TemporaryDirectory() as temporary:
        source = find_source(model, store)
        folder = Path(temporary) / "package"
        yield export_model(source, VariantRequest(), folder, output_stride=output_stride)


def _write_report(folder: Path, model: str, measured: str, evaluation: "Evaluation") -> None:
    from atrous.jobs.artefacts import write_artefacts

    # Pages are passed on: where model and photos lie is nobody's business.
    name = Path(model).absolute().name if Path(model).is_dir() else model
    page = write_artefacts(folder, name, f"{measured}, {evaluation.split}", [evaluation])
    print(f"report: {page}", file=sys.stderr)


def _measure(
    package: "ModelPackage", dataset: "Dataset", split: str, checks: dict[str, Any], **settings: Any
) -> "Evaluation":
    """Check the photos and measure, with a bar on standard error for both.

    checks: what `with_sound_split` is to know of the data set.
    """
    from atrous.jobs.evaluate import measure_package
    from atrous.jobs.sound_data import with_sound_split

    with Progress(console=Console(stderr=True), transient=True) as bar:

        def shown_as(title: str) -> Callable[[int, int], None]:
            task = bar.add_task(title)
            return lambda done, total: bar.update(task, completed=done, total=total)

        sound = with_sound_split(dataset, split, progress=shown_as("checking the photos"), **checks)
        return measure_package(package, sound, split, progress=shown_as("evaluating"), **settings)


def _print_table(model: str, evaluation: "Evaluation") -> None:
    console, report = Console(), evaluation.report
    console.print(
        f"{model} on {evaluation.photos} photos of {evaluation.split} "
        f"({evaluation.engine}, {evaluation.precision})",
        highlight=False,
    )
    table = Table("class", box=None, pad_edge=False)
    for heading in ("IoU", "precision", "recall", "F1", "boundary IoU", "best threshold", "pixels"):
        table.add_column(heading, justify="right")
    for entry in report["classes"]:
        keys = ("iou", "precision", "recall", "f1", "boundary_iou", "best_threshold")
        figures = [_figure(entry[key]) for key in keys]
        table.add_row(entry["name"].replace("[", r"\["), *figures, f"{entry['pixels']:,}")
    console.print(table)
    low, high = report["miou_interval"]
    console.print(
        f"mIoU {_figure(report['miou'])}, pixel accuracy {_figure(report['pixel_accuracy'])}"
    )
    console.print(
        f"95 % interval of the mIoU {_figure(low)} to {_figure(high)}; frequency-weighted IoU "
        f"{_figure(report['frequency_weighted_iou'])}; mean Boundary IoU "
        f"{_figure(report['boundary_miou'])}; expected calibration error "
        f"{_figure(report['expected_calibration_error'])}; mIoU with confidence=best "
        f"{_figure(report['miou_at_recommended'])}",
        highlight=False,
    )


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
