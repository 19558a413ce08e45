"""Measure a model package on a split of a data set, by the path that serving takes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8

from atrous.datasets.version import Dataset, Sample
from atrous.domain.classes import IGNORE_ID, ClassTable
from atrous.domain.errors import BadDataset
from atrous.domain.views import Views
from atrous.masks.metrics import ConfusionMatrix
from atrous.masks.photo_figures import PhotoTotals
from atrous.masks.split_figures import SplitFigures
from atrous.packages.directory import ModelPackage
from atrous.reports.photo_panels import photo_panels
from atrous.runtime.evaluation import Predict, measure_all
from atrous.runtime.segmenter import Segmenter
from atrous.runtime.session import Engine, Precision

Rank = Literal["worst", "median", "best"]
RANKS: tuple[Rank, Rank, Rank] = ("worst", "median", "best")
EXAMPLES_OF_A_RANK = 3


@dataclass(frozen=True)
class Example:
    """One photo with its truth, prediction and error, drawn."""

    rank: Rank
    name: str
    miou: float  # of this photo alone
    file: bytes  # JPEG


@dataclass(frozen=True)
class Evaluation:
    """What a model reached on one split."""

    split: str
    photos: int
    engine: str
    precision: str
    report: dict[str, Any]  # of SplitFigures.as_report, in the model's class order
    figures: SplitFigures
    examples: tuple[Example, ...] = ()  # from the worst to the best, where they were asked for

    @property
    def matrix(self) -> ConfusionMatrix:
        """Pixels by true and by predicted class, in the model's class order."""
        return self.figures.matrix

    def as_json(self) -> dict[str, Any]:
        """All figures as JSON values, with the confusion matrix in pixels [truth][prediction]."""
        return {
            "split": self.split,
            "photos": self.photos,
            "engine": self.engine,
            "precision": self.precision,
            **self.report,
            "confusion_matrix": self.matrix.counts.tolist(),
        }


def measure_package(
    package: ModelPackage,
    dataset: Dataset,
    split: str,
    *,
    engine: Engine = "auto",
    precision: Precision = "auto",
    progress: Callable[[int, int], None] | None = None,
    views: Views | None = None,
    with_photos: bool = False,
) -> Evaluation:
    """Predict every photo of a split at its own size and compare with its label map.

    Classes are matched by name; the figures are over the data set's labelled classes.

    views: looks at each photo that are blended; None: those of the package.
    with_photos: also draw the best, median and worst photos.
    Raises BadDataset for a split that is not there or a labelled class that the model does not
    know.
    """
    samples = samples_of(dataset, split)
    to_model = model_ids_of(dataset.classes, package)
    labelled = sorted(int(to_model[class_id]) for class_id in dataset.classes.labelled_ids)
    figures = SplitFigures.empty(package.class_names, labelled, package.background_id)
    segmenter = Segmenter(package, engine=engine, precision=precision)
    predict = partial(segmenter.predict, views=views)
    try:
        measure_all(predict, samples, figures, to_model, progress)
        return Evaluation(
            split,
            len(samples),
            segmenter.engine,
            segmenter.precision,
            figures.as_report(package.best_thresholds),
            figures,
            draw_examples(predict, samples, figures, to_model) if with_photos else (),
        )
    finally:
        segmenter.close()


def samples_of(dataset: Dataset, split: str) -> Sequence[Sample]:
    """The photos of a split; BadDataset where there are none."""
    samples = dataset.splits.get(split)
    if not samples:
        raise BadDataset(
            f"{dataset.root} has no photos in split {split!r}; it has {', '.join(dataset.splits)}"
        )
    return samples


def draw_examples(
    predict: Predict,
    samples: Sequence[Sample],
    figures: SplitFigures,
    model_ids: UInt8[np.ndarray, "256"],
) -> tuple[Example, ...]:
    """Draw the photos of lowest, middle and highest mean IoU; they are predicted once more."""
    by_name = {sample.name: sample for sample in samples}
    drawn = []
    for rank, photo in ranked_photos(figures.photos.from_worst()):
        image, truth = by_name[photo.name].read()
        label_map = predict(image).label_map
        file = photo_panels(image, model_ids[truth], label_map, figures.class_names)
        drawn.append(Example(rank, photo.name, photo.mean_iou, file))
    return tuple(drawn)


def ranked_photos(photos: Sequence[PhotoTotals]) -> list[tuple[Rank, PhotoTotals]]:
    """Three each from the beginning, middle and end; none twice, so fewer of few."""
    count, each = len(photos), EXAMPLES_OF_A_RANK
    middle = (count - each) // 2
    ranks: dict[int, Rank] = {}
    for rank, places in (
        (RANKS[0], range(each)),
        (RANKS[2], range(count - 1, count - 1 - each, -1)),
        (RANKS[1], range(middle, middle + each)),
    ):
        for place in places:
            if 0 <= place < count:
                ranks.setdefault(place, rank)
    return [(ranks[place], photos[place]) for place in sorted(ranks)]


def model_ids_of(classes: ClassTable, package: ModelPackage) -> UInt8[np.ndarray, "256"]:
    """A table from the data set's class ids to the model's; 255 stays 255.

    Names are compared exactly, then without regard to case."""
    exact = {name: index for index, name in enumerate(package.class_names)}
    known = {name.lower(): index for name, index in exact.items()}
    found = {
        index: exact.get(classes.names[index], known.get(classes.names[index].lower()))
        for index in classes.labelled_ids
    }
    missing = [classes.names[index] for index, target in found.items() if target is None]
    if missing:
        raise BadDataset(
            f"the model does not know the classes {', '.join(missing)} of the data set; it knows "
            f"{', '.join(package.class_names)}: rename them, or take another model"
        )
    table = np.full(256, IGNORE_ID, np.uint8)
    for index, target in found.items():
        if target is not None:
            table[index] = target
    return table
