"""The artefacts of a training, also of one that was stopped or failed."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atrous.datasets.version import Dataset
from atrous.domain.classes import BACKGROUND_ID
from atrous.domain.errors import AtrousError
from atrous.jobs.artefacts import write_artefacts
from atrous.jobs.evaluate import Evaluation, draw_examples
from atrous.masks.split_figures import SplitFigures, report_of_package
from atrous.runtime.evaluation import measure_all
from atrous.training.checkpoint import BestCheckpoint, load_best
from atrous.training.network_predictor import NetworkPredictor
from atrous.training.precision import pick_device
from atrous.training.run_folder import RunFolder

logger = logging.getLogger(__name__)


def facts_of(evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """What a package's manifest says of them; thresholds are those of the first, validation."""
    return {
        "metrics": {
            evaluation.split: report_of_package(evaluation.report) for evaluation in evaluations
        },
        "recommended_parameters": evaluations[0].figures.recommended_parameters(),
    }


def report_finished(
    run: RunFolder, best: BestCheckpoint, evaluations: Sequence[Evaluation]
) -> Path:
    """Write the artefacts of a run that was exported, and log where they are."""
    return _write(run, best, evaluations, f"epoch {best.epoch} was the best and is published")


def report_unfinished(run: RunFolder, dataset: Dataset) -> Path | None:
    """Write the artefacts of a run that ends early, from its best epoch so far.

    In its first epoch, from its weights as they are. None before there are any, or where it can't
    be made: why the training ended, a full disk or a photo that is gone, is to be said first.
    """
    if not (run.checkpoints / "best.json").exists():
        return None
    logger.info("writing the report of the training so far; Ctrl-C leaves it out")
    try:
        return _report_best(run, dataset)
    except (AtrousError, OSError, RuntimeError, MemoryError) as error:
        logger.warning("the report can't be written: %s", error)
        return None


def _report_best(run: RunFolder, dataset: Dataset) -> Path:
    """Measure the best network as it is, without an export, and write what it reached."""
    best = load_best(run)
    best.network.to(pick_device())
    predict = NetworkPredictor(best.network, best.recipe)
    samples = dataset.splits["valid"]
    figures = SplitFigures.empty(best.classes.names, best.classes.labelled_ids, BACKGROUND_ID)
    same_ids = np.arange(256, dtype=np.uint8)
    measure_all(predict, samples, figures, same_ids)
    evaluation = Evaluation(
        split="valid",
        photos=len(samples),
        engine="torch",
        precision=best.recipe.precision,
        report=figures.as_report(),
        figures=figures,
        examples=draw_examples(predict, samples, figures, same_ids),
    )
    so_far = f"epoch {best.epoch} is the best so far" if best.epoch else "ended in its first epoch"
    return _write(run, best, [evaluation], f"unfinished; {so_far}")


def _write(
    run: RunFolder, best: BestCheckpoint, evaluations: Sequence[Evaluation], note: str
) -> Path:
    page = write_artefacts(
        run.path,
        f"{run.path.parent.name}, run {run.path.name}",
        f"{best.recipe.architecture} on {best.recipe.backbone}; {note}",
        evaluations,
        results=run.results,
        choices=best.recipe.to_shown_json(),
    )
    logger.info("report: %s", page)
    return page
