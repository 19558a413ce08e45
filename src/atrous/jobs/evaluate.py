"""Measure a model package on a split of a data set, by the path that serving takes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8

from atrous.datasets.version import Dataset
from atrous.domain.classes import IGNORE_ID, ClassTable
from atrous.domain.errors import BadDataset
from atrous.masks.metrics import ConfusionMatrix
from atrous.packages.directory import ModelPackage
from atrous.runtime.segmenter import Segmenter
from atrous.runtime.session import Engine, Precision


@dataclass(frozen=True)
class Evaluation:
    """What a model reached on one split."""

    split: str
    photos: int
    engine: str
    precision: str
    report: dict[str, Any]  # of ConfusionMatrix.as_report, in the model's class order
    matrix: ConfusionMatrix

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
) -> Evaluation:
    """Predict every photo of a split at its own size and compare with its label map.

    Classes are matched by name; the figures are over the data set's labelled classes. Raises
    BadDataset for a split that is not there or a labelled class that the model does not know.
    """
    samples = dataset.splits.get(split)
    if not samples:
        raise BadDataset(
            f"{dataset.root} has no photos in split {split!r}; it has {', '.join(dataset.splits)}"
        )
    to_model = model_ids_of(dataset.classes, package)
    matrix = ConfusionMatrix.zeros(len(package.class_names))
    segmenter = Segmenter(package, engine=engine, precision=precision)
    try:
        for index, sample in enumerate(samples):
            image, truth = sample.read()
            matrix.add(to_model[truth], segmenter.predict(image).label_map)
            if progress:
                progress(index + 1, len(samples))
        labelled = sorted(int(to_model[class_id]) for class_id in dataset.classes.labelled_ids)
        return Evaluation(
            split,
            len(samples),
            segmenter.engine,
            segmenter.precision,
            matrix.as_report(package.class_names, labelled),
            matrix,
        )
    finally:
        segmenter.close()


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
