"""Measure a training's model on every split of its version, as serving would predict it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from atrous.datasets.detect import DatasetOptions, open_dataset
from atrous.datasets.preparation import for_prepared
from atrous.domain.classes import IGNORE_ID
from atrous.domain.errors import NotFound
from atrous.jobs.evaluate import Evaluation, measure_package
from atrous.jobs.settling import FractionReport
from atrous.jobs.version_training import FORMAT, version_folder
from atrous.masks.metrics import ratio_of
from atrous.masks.photo_figures import PhotoTotals
from atrous.masks.thresholds import STEPS, ConfidenceCounts
from atrous.packages.directory import read_package
from atrous.store.jobs import Job
from atrous.store.opening import Store

SWEPT_PERCENT = range(0, 100, 5)
PHOTOS_KEPT = 5000  # per split, the first ones


def evaluate_training(job: Job, worker: str, store: Store) -> dict[str, Any]:
    """Give the figures by split; NotFound where the model was removed meanwhile."""
    training = store.trainings.by_id(job.workspace_id, job.payload["training_id"])
    model = store.models.of_training(training.id)
    if model is None:
        raise NotFound("the training has no model any more; train again")
    version = store.versions.by_id(job.workspace_id, training.version_id)
    project = store.projects.by_id(job.workspace_id, training.project_id)
    package = read_package(store.models.package_folder(model.folder))
    # The pictures of the version are cropped, grey and so on already.
    package = replace(package, preprocess=for_prepared(package.preprocess))
    options = DatasetOptions(format=FORMAT, ignore_id=IGNORE_ID, seed=version.seed)
    dataset = open_dataset(version_folder(store, project, version), options)
    splits = {name: samples for name, samples in dataset.splits.items() if samples}
    report = FractionReport(job, worker, store, total=sum(map(len, splits.values())))
    measured = [
        measure_package(package, dataset, name, progress=lambda *_: report.step())
        for name in splits
    ]
    return {
        "class_names": list(package.class_names),
        "splits": {evaluation.split: figures_of(evaluation) for evaluation in measured},
    }


def figures_of(evaluation: Evaluation) -> dict[str, Any]:
    """All that panels show of one split; JSON values."""
    figures = evaluation.figures
    return {
        **evaluation.as_json(),
        "photo_figures": [photo_entry(photo) for photo in figures.photos.photos[:PHOTOS_KEPT]],
        "sweep": sweep_of(figures.thresholds, figures.labelled_ids),
    }


def photo_entry(photo: PhotoTotals) -> dict[str, Any]:
    """One photo's mean IoU, and its pixels: right, labelled, predicted; None where undefined."""
    miou = photo.mean_iou
    return {
        "name": photo.name,
        "miou": None if np.isnan(miou) else miou,
        "right": int(photo.hits.sum()),
        "labelled": int(photo.truths.sum()),
        "predicted": int(photo.predictions.sum()),
    }


def sweep_of(counts: ConfidenceCounts, labelled_ids: Sequence[int]) -> list[dict[str, Any]]:
    """Mean IoU, precision, recall and F1 where pixels below a threshold become background.

    The last three are means over the labelled classes but background, in pixels.
    """
    shown = [number for number in labelled_ids if number != counts.background_id]
    entries = []
    for percent in SWEPT_PERCENT:
        step = percent * STEPS // 100
        iou = counts.iou_at(np.full(len(counts.truths), step, np.int64), labelled_ids)
        right = counts.right[shown, step:].sum(axis=1)
        predicted = counts.all[shown, step:].sum(axis=1)
        truths = counts.truths[shown]
        entries.append(
            {
                "confidence": percent,
                "miou": _mean(iou),
                "precision": _mean(ratio_of(right, predicted)),
                "recall": _mean(ratio_of(right, truths)),
                "f1": _mean(ratio_of(2 * right, predicted + truths)),
            }
        )
    return entries


def _mean(values: np.ndarray) -> float | None:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else None
