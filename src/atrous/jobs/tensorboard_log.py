"""A training's figures in TensorBoard, beside whatever else shows its progress."""

import logging
from pathlib import Path

from atrous.reports.tensorboard import EventFile
from atrous.training.loop import Progress, Report

logger = logging.getLogger(__name__)

FOLDER = "tensorboard"  # in the run folder: `tensorboard --logdir` takes it


def with_tensorboard(report: Report, run_folder: Path) -> Report:
    """Give a report that, besides, writes every epoch's figures into `run_folder/tensorboard`."""
    file = EventFile(run_folder / FOLDER)

    def both(progress: Progress) -> None:
        if progress.results:
            figures = {
                name: float(value)
                for name, value in progress.results.items()
                if isinstance(value, (int, float)) and name != "epoch"
            }
            try:
                file.add(progress.epoch, figures)
            except OSError as error:  # the same figures are in results.csv
                logger.warning(
                    "epoch %d is not in the TensorBoard log: %s", progress.epoch, error.strerror
                )
        report(progress)

    return both
