"""`atrous convert`: weights that others trained with PyTorch -> a package to serve."""

from pathlib import Path
from typing import Annotated

import typer

from atrous.cli.written_folders import insist_on_room_for

DEFAULT_SIDE = 520  # pixels: what torchvision's published weights were trained and measured at


def convert_command(
    source: Annotated[
        Path,
        typer.Argument(
            help="A package folder with weights.pt, or a checkpoint of torchvision's deeplabv3 or "
            "of segmentation_models_pytorch's DeepLabV3Plus."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The package's folder; it must not exist yet.")],
    encoder: Annotated[
        str | None,
        typer.Option(help="For segmentation_models_pytorch: its encoder's name, as resnet50."),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(help="Class names by id, as background,cat,dog. Read from a package."),
    ] = None,
    side: Annotated[
        int, typer.Option("--size", min=32, help="Sides of the network's input, in pixels.")
    ] = DEFAULT_SIDE,
) -> None:
    """Convert PyTorch weights to a model package, and prove that it says the same.

    Nothing in the file is run: it is read as tensors alone. The ONNX network is compared with
    the torch one and refused where they differ. Then: atrous models add FOLDER --as voc/1

    \b
    Example:  atrous convert deeplabv3_resnet50_coco.pth --out voc/
              atrous convert downloads/package --out package/
              atrous convert best.ckpt --encoder resnet50 --classes background,road --out road/
    """
    from atrous.cli.train import require_training
    from atrous.domain.classes import ClassTable

    require_training()
    insist_on_room_for(out, "--out")
    from atrous.jobs.convert import convert_package, convert_smp, convert_torchvision

    names = tuple(name.strip() for name in classes.split(",")) if classes else None
    table = ClassTable(names) if names else None
    if source.is_dir():
        if encoder or table:
            raise typer.BadParameter("a package says its encoder and classes itself")
        package = convert_package(source, out)
    elif encoder:
        if table is None:
            raise typer.BadParameter("name the classes of the checkpoint with --classes")
        package = convert_smp(source, out, encoder, table, side)
    else:
        package = convert_torchvision(source, out, table, side)
    print(package.folder)
