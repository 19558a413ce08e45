"""The options that say how a folder of pictures is read, shared by check, train and evaluate."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from atrous.datasets.detect import DatasetOptions

DirectoryArgument = Annotated[Path, typer.Argument(help="The folder that holds the data set.")]
FormatOption = Annotated[
    Literal["png-mask-semantic", "coco", "yolo-seg", "voc", "labelme", "cvat", "folders"] | None,
    typer.Option("--format", help="Read it as this format; recognised where not given."),
]
ClassesOption = Annotated[
    str | None,
    typer.Option(
        "--classes",
        help="Class names in the order of the mask ids, as sky,road,car (for folders of masks).",
    ),
]
ClassesFileOption = Annotated[
    Path | None,
    typer.Option("--classes-file", help="The same in a file, one name per line."),
]
IgnoreIdOption = Annotated[
    int | None,
    typer.Option(
        "--ignore-id",
        min=0,
        max=255,
        help="The mask id of pixels that are neither trained on nor counted.",
    ),
]

SkipBadOption = Annotated[
    bool, typer.Option("--skip-bad", help="Leave faulty photos out instead of refusing.")
]


def read_dataset_options(
    format: str | None,
    classes: str | None,
    classes_file: Path | None,
    ignore_id: int | None,
    seed: int = 0,
) -> "DatasetOptions":
    """The options as data sets take them; naming classes twice is wrong usage (exit code 2)."""
    from atrous.datasets.detect import DatasetOptions

    if classes is not None and classes_file is not None:
        raise typer.BadParameter("give --classes or --classes-file, not both")
    names = tuple(name.strip() for name in classes.split(",")) if classes is not None else None
    return DatasetOptions(format, names, classes_file, ignore_id, seed)
