"""A package -> the same model in another precision or format, refused where it loses too much."""

import logging
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32

from atrous.datasets.version import Sample
from atrous.domain.errors import BadInput
from atrous.domain.views import Views
from atrous.export.half_precision import halve
from atrous.export.openvino_file import write_openvino
from atrous.export.quantisation import SPARING, quantise
from atrous.export.variant_figures import (
    LabelledPhotos,
    VariantFigures,
    compare,
    insist,
    insist_on_trials,
)
from atrous.images.preprocess import preprocess
from atrous.masks.split_figures import report_of_package
from atrous.packages.directory import ModelPackage
from atrous.packages.recommendation import FIELD as RECOMMENDED
from atrous.packages.variant import write_variant
from atrous.reports.html_page import shown
from atrous.reports.model_card import threshold_section

logger = logging.getLogger(__name__)

CALIBRATION_PHOTOS = 64  # that ranges are taken from; more did not change them
Format = Literal["onnx", "openvino"]
Precision = Literal["fp32", "fp16", "int8"]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class VariantRequest:
    """What is wanted."""

    format: Format = "onnx"
    precision: Precision = "fp32"
    max_drop: float = 1.0  # points of mIoU that may be lost
    views: Views | None = None  # looks at a photo that it is to blend; None: as before


@dataclass(frozen=True)
class _Attempt:
    """A network that was made, and what it reached."""

    package: ModelPackage
    facts: dict[str, Any]  # of the export, as the manifest keeps them
    report: dict[str, Any] | None  # of the measured split
    figures: VariantFigures | None


def export_variant(
    source: ModelPackage,
    request: VariantRequest,
    photos: LabelledPhotos | None,
    folder: Path,
    progress: Progress | None = None,
    reference: ModelPackage | None = None,
) -> ModelPackage:
    """Write the package to `folder`, which must not exist yet.

    reference: what mIoU is compared with, where that is another network than `source`.
    photos: what int8 ranges are taken from, and what mIoU is measured on before and after. An
        int8 network that loses too much is made again with more of its layers in fp32.
    Raises ExportRefused, leaving nothing behind, where mIoU falls by more than `max_drop`, or,
    without photos, where drawn pictures get other labels; BadInput for int8 without photos.
    """
    if request.precision == "int8" and photos is None:
        raise BadInput(
            "an int8 network takes its ranges from photos, and there are none; give a labelled "
            "data set with --data"
        )
    with tempfile.TemporaryDirectory(prefix="atrous-export-") as temporary:
        make = partial(_attempt, source, reference or source, request, photos, progress)
        attempt = _best_attempt(make, request, Path(temporary))
        if attempt.figures is not None:
            insist(attempt.figures, request.max_drop, request.precision)
        openvino = Path(temporary) / "weights.xml" if request.format == "openvino" else None
        if openvino is not None:
            write_openvino(attempt.package.weights, source.preprocess.size, openvino)
        return write_variant(
            source,
            folder,
            weights=attempt.package.weights,
            facts=_manifest(source, attempt),
            card=_card(source, request, attempt),
            openvino=openvino,
        )


def _best_attempt(
    make: Callable[[str, Path], _Attempt], request: VariantRequest, scratch: Path
) -> _Attempt:
    """The first network that loses little enough, else the one that loses least."""
    attempts: list[_Attempt] = []
    for sparing in SPARING if request.precision == "int8" else SPARING[:1]:
        attempt = make(sparing, scratch / str(len(attempts)))
        attempts.append(attempt)
        if attempt.figures is None or attempt.figures.drop_points <= request.max_drop:
            return attempt
        logger.info("sparing %s: %s", sparing, attempt.figures)
    return min(attempts, key=lambda attempt: attempt.facts["drop_points"])


def _attempt(
    source: ModelPackage,
    reference: ModelPackage,
    request: VariantRequest,
    photos: LabelledPhotos | None,
    progress: Progress | None,
    sparing: str,
    scratch: Path,
) -> _Attempt:
    """Make the network in a new folder `scratch`, and measure it where it is another one."""
    scratch.mkdir()
    weights = scratch / "lowered.onnx"
    facts: dict[str, Any] = {"format": request.format, "precision": request.precision}
    if request.precision == "int8":
        assert photos is not None
        facts |= {"calibration_photos": _quantise(source, photos, weights, sparing)}
        facts |= {"left_in_fp32": sparing}
    elif request.precision == "fp16":
        halve(source.weights, weights)
    else:
        shutil.copyfile(source.weights, weights)
    package = write_variant(source, scratch / "package", weights=weights, facts={}, card="")
    package = replace(package, views=request.views or source.views)
    same_looks = package.views == reference.views
    unchanged = request.precision == "fp32" and reference is source and same_looks
    if photos is None and request.precision != "fp32":
        facts |= {"trial_agreement": insist_on_trials(source, package, request.precision)}
    if photos is None or unchanged:
        return _Attempt(package, facts, None, None)
    figures, report = compare(reference, package, photos, progress)
    facts |= {**figures.as_json(), "max_drop": request.max_drop}
    return _Attempt(package, facts, report, figures)


def _quantise(source: ModelPackage, photos: LabelledPhotos, weights: Path, sparing: str) -> int:
    """Write the int8 network; the number of photos that its ranges were taken from."""
    count = min(CALIBRATION_PHOTOS, len(photos.samples))
    spread = np.unique(np.linspace(0, len(photos.samples) - 1, count).astype(int))
    chosen = [photos.samples[int(index)] for index in spread]

    recipe = photos.prepared_for(source).preprocess

    def prepare(sample: Sample) -> Float32[np.ndarray, "1 3 height width"]:
        return preprocess(sample.read_image(), recipe)[0]

    logger.info("taking ranges from %d photos of %s", len(chosen), photos.split)
    quantise(source.weights, chosen, prepare, weights, sparing)
    return len(chosen)


def _manifest(source: ModelPackage, attempt: _Attempt) -> dict[str, Any]:
    """What is known of the source still holds, but for figures of other networks or looks."""
    views = attempt.package.views
    facts = {**source.manifest, "views": views.to_json()}
    if _is_changed(source, attempt):
        before = facts.get("metrics") or facts.get("source_metrics", {})
        facts |= {"metrics": {}, "source_metrics": before}
    if attempt.figures is not None and attempt.report is not None:
        facts |= {"metrics": {attempt.figures.split: report_of_package(attempt.report)}}
        facts |= {RECOMMENDED: attempt.report[RECOMMENDED]}  # its own confidences decide them
    return {**facts, "export": attempt.facts}


def _is_changed(source: ModelPackage, attempt: _Attempt) -> bool:
    """Whether it answers otherwise than the source."""
    return attempt.facts["precision"] != "fp32" or attempt.package.views != source.views


def _card(source: ModelPackage, request: VariantRequest, attempt: _Attempt) -> str:
    """A section of the model card, in Markdown."""
    lines = [f"## Exported in {request.precision}", ""]
    views = attempt.package.views
    if not views.is_plain:
        said = ", ".join(f"{name} {shown(value)}" for name, value in views.to_json().items())
        lines += [f"Every photo is looked at several times: {said}.", ""]
    figures = attempt.figures
    if figures is not None:
        lines += [
            f"| {figures.split}, {figures.photos} photos | before | {request.precision} |",
            "|---|---|---|",
            f"| mIoU | {figures.miou_before:.4f} | {figures.miou_after:.4f} |",
            "",
            f"{figures.drop_points:.2f} points lost; {figures.pixel_agreement:.2%} of the pixels "
            "get the same class.",
            "",
        ]
    if "calibration_photos" in attempt.facts:
        lines += [
            f"Ranges taken from {attempt.facts['calibration_photos']} photos; left in fp32: "
            f"{attempt.facts['left_in_fp32']}.",
            "",
        ]
    if _is_changed(source, attempt):
        lines += ["What stands above this section is of the model that it was made from.", ""]
    if attempt.report is not None:
        lines += threshold_section(attempt.report[RECOMMENDED])
    return "\n".join(lines)
