"""`atrous export`: a model in another precision, format, output stride or input size."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.progress import Progress

from atrous.cli.dataset_options import (
    ClassesFileOption,
    ClassesOption,
    IgnoreIdOption,
    SkipBadOption,
    read_dataset_options,
)
from atrous.cli.model_argument import PUBLISHED, new_model_id
from atrous.cli.view_options import FlipOption, ScalesOption, WindowOption, read_views
from atrous.cli.written_folders import insist_on_room_for

if TYPE_CHECKING:
    from atrous.export.variant import VariantRequest
    from atrous.packages.directory import ModelPackage
    from atrous.store.opening import Store

Labels = tuple[str | None, Path | None, int | None]  # classes, file of classes, id to ignore

StrideOption = Annotated[
    Literal["8", "16"] | None,
    typer.Option(help="Other than the package's, it needs the checkpoint of the training."),
]
SizeOption = Annotated[
    int | None,
    typer.Option(
        min=32,
        help="Longer side of the network's input, in pixels, rounded to a multiple of 16. "
        "Other than the package's, it needs the checkpoint of the training.",
    ),
]
OutOption = Annotated[
    Path | None, typer.Option(help="The package's folder; it must not exist yet.")
]
NameOption = Annotated[
    str | None,
    typer.Option("--as", help="Publish it: project/version, or a project for its next one."),
]
DataOption = Annotated[
    Path | None,
    typer.Option(help="Labelled pictures; its validation split is used. Default: the run's."),
]


def export_command(
    model: Annotated[
        str,
        typer.Argument(help=f"{PUBLISHED}, the folder of a package, or that of a run."),
    ],
    format: Annotated[
        Literal["onnx", "openvino"],
        typer.Option(help="openvino adds OpenVINO's own files to the ONNX network."),
    ] = "onnx",
    precision: Annotated[
        Literal["fp32", "fp16", "int8"],
        typer.Option(help="What the network is kept in; int8 is the fastest on CPUs."),
    ] = "fp32",
    output_stride: StrideOption = None,
    size: SizeOption = None,
    out: OutOption = None,
    name: NameOption = None,
    data: DataOption = None,
    max_drop: Annotated[
        float, typer.Option(min=0.0, help="Points of mIoU that may be lost; more is refused.")
    ] = 1.0,
    window: WindowOption = None,
    scales: ScalesOption = None,
    flip: FlipOption = False,
    classes: ClassesOption = None,
    classes_file: ClassesFileOption = None,
    ignore_id: IgnoreIdOption = None,
    skip_bad: SkipBadOption = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="What was measured as JSON on standard output.")
    ] = False,
) -> None:
    """Make a smaller or faster package of a model, and refuse where it loses too much.

    int8 takes its ranges from the validation split and measures mIoU on it before and after; the
    figures are in the package. With --window, --scales or --flip the package asks for these looks
    wherever it is served. The result is a package like any other: serve it, measure it.

    \b
    Example:  atrous export shapes/1 --precision int8 --as shapes
              atrous export downloads/package --precision int8 --data pictures/ --out small/
              atrous export runs/roads/0001 --output-stride 16 --format openvino --out roads/
              atrous export roads/1 --output-stride 8 --size 640 --as roads
              atrous export tiles/1 --window 512 --as tiles
    """
    if (out is None) == (name is None):
        raise typer.BadParameter("say where it goes: --out FOLDER, or --as project/version")
    source = _Source(model, int(output_stride) if output_stride else None, size, data, skip_bad)
    labels = (classes, classes_file, ignore_id)
    views = read_views(window, scales, flip)
    facts, where = _make(source, labels, (format, precision, max_drop, views), out, name)
    if as_json:
        print(json.dumps({"package": where, **facts}))
        return
    _tell(facts)
    print(where)


@dataclass(frozen=True)
class _Source:
    model: str
    output_stride: int | None
    side: int | None
    data: Path | None
    skip_bad: bool


def _make(
    source: _Source, labels: Labels, wanted: tuple[Any, ...], out: Path | None, name: str | None
) -> tuple[dict[str, Any], str]:
    """Give what was measured, and where the package is: its folder or the model it became."""
    from atrous.cli.train import require_training

    require_training()
    from atrous.domain.errors import Conflict
    from atrous.export.variant import VariantRequest
    from atrous.store.home import home_folder
    from atrous.store.opening import open_store

    # What would be found out at the end is asked before minutes of work.
    if out is not None and out.exists():
        raise Conflict(f"{out} exists already; choose another folder or remove it")
    if out is not None:
        insist_on_room_for(out, "--out")
    target = new_model_id(name) if name is not None else None
    request = VariantRequest(*wanted)
    with open_store(home_folder()) as store, tempfile.TemporaryDirectory() as temporary:
        package = _export(source, labels, request, out or Path(temporary) / "package", store)
        where = str(package.folder) if target is None else _publish(package, *target, store)
    return package.manifest["export"], where


def _export(
    source: _Source, labels: Labels, request: "VariantRequest", folder: Path, store: "Store"
) -> "ModelPackage":
    """Write the package into `folder`, with a bar on standard error."""
    from atrous.jobs.export import export_model, find_source, open_data

    found = find_source(source.model, store)
    seed = found.package.manifest.get("recipe", {}).get("seed", 0)
    options = read_dataset_options(None, *labels, seed)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"exporting in {request.precision}", total=None)
        return export_model(
            found,
            request,
            folder,
            output_stride=source.output_stride,
            side=source.side,
            data=open_data(found, source.data, options, source.skip_bad),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )


def _publish(package: "ModelPackage", project: str, version: int | None, store: "Store") -> str:
    return str(
        store.models.publish(
            project,
            package.folder,
            version=version,
            workspace_id=store.workspaces.default().id,
            facts=package.facts,
        )
    )


def _tell(facts: dict[str, Any]) -> None:
    if "miou_after" not in facts:
        return
    Console(stderr=True).print(
        f"mIoU on {facts['photos']} photos of {facts['split']}: {facts['miou_before']:.4f} before, "
        f"{facts['miou_after']:.4f} in {facts['precision']} ({facts['drop_points']:+.2f} points "
        f"lost, at most {facts['max_drop']:g} allowed); {facts['pixel_agreement']:.2%} of the "
        "pixels get the same class",
        highlight=False,
    )
