"""`atrous predict`: masks and coloured overlays of pictures, without a server."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from atrous.cli.model_argument import ModelArgument, find_package
from atrous.cli.view_options import FlipOption, ScalesOption, WindowOption, read_views
from atrous.cli.written_folders import make_writable
from atrous.domain.errors import BadImage

if TYPE_CHECKING:
    from atrous.domain.predictions import Prediction
    from atrous.runtime.segmenter import Segmenter


def predict_command(
    model: ModelArgument,
    images: Annotated[
        list[Path], typer.Argument(help="Pictures: JPEG, PNG, WebP, BMP, TIFF, GIF.")
    ],
    out: Annotated[Path, typer.Option(help="The folder to write to; it is made if need be.")],
    confidence: Annotated[
        float,
        typer.Option(min=0, max=1, help="Less probable pixels become background."),
    ] = 0.0,
    window: WindowOption = None,
    scales: ScalesOption = None,
    flip: FlipOption = False,
) -> None:
    """Write a label PNG (pixel = class id) and a coloured overlay of every picture.

    A picture that can't be read is named and left out; the exit code is 1 then.

    \b
    Example:  atrous predict shapes/1 photo.jpg --out masks/
              writes masks/photo.png and masks/photo_overlay.jpg
              atrous predict shapes/1 large.jpg --out masks/ --window 512 --flip
    """
    from atrous.runtime.segmenter import Segmenter

    _refuse_overwriting(images, out)
    wishes = {"confidence": confidence, "views": read_views(window, scales, flip)}
    package = find_package(model)
    make_writable(out, "--out")
    segmenter = Segmenter(package)
    failed = False
    for path in images:
        try:
            prediction = _predict_file(segmenter, path, out, wishes)
        except BadImage as error:
            failed = True
            print(f"error: {error}", file=sys.stderr)
            continue
        print(f"{path}: {_shares(prediction, segmenter.package.class_names)}")
    if failed:
        raise typer.Exit(1)


def _label_path(out: Path, image: Path) -> Path:
    return out / f"{image.stem}.png"


def _overlay_path(out: Path, image: Path) -> Path:
    return out / f"{image.stem}_overlay.jpg"


def _refuse_overwriting(images: Sequence[Path], out: Path) -> None:
    """Two pictures of one name, or a result over a picture, would lose something."""
    pictures = {image.resolve() for image in images}
    written: dict[Path, Path] = {}
    for image in images:
        for target in (_label_path(out, image), _overlay_path(out, image)):
            if target.resolve() in pictures:
                raise typer.BadParameter(f"{target} would overwrite a picture; give another --out")
            if target in written:
                raise typer.BadParameter(
                    f"{written[target]} and {image} would both be written to {target}; "
                    "rename one, or predict them into two folders"
                )
            written[target] = image


def _predict_file(
    segmenter: "Segmenter", path: Path, out: Path, wishes: dict[str, Any]
) -> "Prediction":
    from atrous.images.decode import read_image
    from atrous.images.draw import draw_overlay, encode_jpeg
    from atrous.masks.png import encode_label_map

    image = read_image(path)
    prediction = segmenter.predict(image, **wishes)
    overlay = draw_overlay(image, prediction.label_map, segmenter.package.class_names)
    _label_path(out, path).write_bytes(encode_label_map(prediction.label_map))
    _overlay_path(out, path).write_bytes(encode_jpeg(overlay))
    return prediction


def _shares(prediction: "Prediction", names: Sequence[str]) -> str:
    """The classes that occur and their share of the picture, largest first."""
    import numpy as np

    pixels = np.bincount(prediction.label_map.ravel(), minlength=len(names))
    order = [int(index) for index in np.argsort(-pixels, kind="stable") if pixels[index]]
    return ", ".join(f"{names[index]} {pixels[index] / pixels.sum():.1%}" for index in order)
