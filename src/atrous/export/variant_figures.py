"""What a network loses by being made smaller: mIoU before and after, on the same photos."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from atrous.datasets.version import Sample
from atrous.domain.errors import ExportRefused
from atrous.domain.recipes import PreprocessRecipe
from atrous.masks.metrics import ConfusionMatrix
from atrous.masks.split_figures import SplitFigures
from atrous.packages.directory import ModelPackage
from atrous.runtime.agreement import label_agreement, thinned
from atrous.runtime.segmenter import Segmenter
from atrous.runtime.session import open_session
from atrous.runtime.trial_pictures import trial_pictures

LEAST_AGREEMENT = 0.99  # of labels on drawn pictures, where there are no photos to measure on


@dataclass(frozen=True)
class LabelledPhotos:
    """Photos to measure on, and which of the model's classes their labels are."""

    samples: Sequence[Sample]
    split: str
    model_ids: UInt8[np.ndarray, "256"]  # the model's id for each id of the labels
    labelled: Sequence[int]  # the model's ids that figures are taken over
    preprocess: PreprocessRecipe  # of these photos, which may be prepared already

    def prepared_for(self, package: ModelPackage) -> ModelPackage:
        """The package as it takes these photos, at the size of its own network."""
        size = package.preprocess.size
        return replace(package, preprocess=replace(self.preprocess, size=size))


@dataclass(frozen=True)
class VariantFigures:
    """Two networks over the same photos; mIoU is 0..1."""

    split: str
    photos: int
    miou_before: float
    miou_after: float
    pixel_agreement: float  # share of all pixels to which both give the same class, 0..1

    @property
    def drop_points(self) -> float:
        """How much mIoU fell, in points (hundredths); below zero where it rose."""
        return 100 * (self.miou_before - self.miou_after)

    def as_json(self) -> dict[str, Any]:
        """The figures as the manifest keeps them."""
        return {**asdict(self), "drop_points": round(self.drop_points, 4)}


def compare(
    before: ModelPackage,
    after: ModelPackage,
    photos: LabelledPhotos,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[VariantFigures, dict[str, Any]]:
    """Predict every photo with both; the figures, and the whole report of `after`.

    Both compute in fp32 what is not in int8, so that the figures do not depend on the processor.
    """
    matrix = ConfusionMatrix.zeros(len(before.class_names))
    whole = SplitFigures.empty(after.class_names, photos.labelled, after.background_id)
    segmenters = [
        Segmenter(photos.prepared_for(package), precision="fp32") for package in (before, after)
    ]
    same = pixels = 0
    try:
        for index, sample in enumerate(photos.samples):
            image, truth = sample.read()
            true_ids = photos.model_ids[truth]
            first, second = (segmenter.predict(image) for segmenter in segmenters)
            matrix.add(true_ids, first.label_map)
            whole.add(sample.name, true_ids, second)
            same += int((first.label_map == second.label_map).sum())
            pixels += true_ids.size
            if progress:
                progress(index + 1, len(photos.samples))
    finally:
        for segmenter in segmenters:
            segmenter.close()
    figures = VariantFigures(
        photos.split,
        len(photos.samples),
        miou_before=matrix.mean_iou(photos.labelled),
        miou_after=whole.matrix.mean_iou(photos.labelled),
        pixel_agreement=same / pixels,
    )
    return figures, whole.as_report()


def insist(figures: VariantFigures, max_drop: float, precision: str) -> None:
    """Raise ExportRefused where mIoU fell by more than `max_drop` points."""
    # A comparison with nan is false: written so that nan is refused, too.
    if not figures.drop_points <= max_drop:
        smaller = "" if precision != "int8" else "take --precision fp16, or "
        raise ExportRefused(
            f"in {precision} mIoU on {figures.photos} photos of {figures.split} falls from "
            f"{figures.miou_before:.4f} to {figures.miou_after:.4f}, by {figures.drop_points:.2f} "
            f"points, and at most {max_drop:g} are allowed; nothing was written: "
            f"{smaller}allow more with --max-drop {figures.drop_points + 0.05:.1f}"
        )


def insist_on_trials(before: ModelPackage, after: ModelPackage, precision: str) -> float:
    """The share of labels that both give alike to drawn pictures, 0..1.

    Raises ExportRefused where it is below LEAST_AGREEMENT.
    """
    pictures = trial_pictures(before.preprocess.size)
    first, second = ([*_coarse_logits(package, pictures)] for package in (before, after))
    agreement = float(np.mean([label_agreement(*pair) for pair in zip(first, second, strict=True)]))
    if not agreement >= LEAST_AGREEMENT:
        raise ExportRefused(
            f"in {precision} {agreement:.2%} of the labels of drawn pictures are those of fp32, at "
            f"least {LEAST_AGREEMENT:.0%} are needed; nothing was written. Give labelled pictures "
            "with --data: mIoU is then measured, and decides"
        )
    return agreement


def _coarse_logits(
    package: ModelPackage, pictures: Sequence[Float32[np.ndarray, "1 3 height width"]]
) -> Iterator[Float32[np.ndarray, "channels rows columns"]]:
    session = open_session(
        package.weights, precision="fp32", input_size=package.preprocess.size, coarse=False
    )
    try:
        for picture in pictures:
            yield thinned(session.run(picture)[0])
    finally:
        session.close()
