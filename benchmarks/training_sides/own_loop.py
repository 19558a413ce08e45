"""Our side: `atrous.training.loop.train_epoch` as it stands, with its own data loading."""

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from atrous.datasets.detect import DatasetOptions, open_dataset
from atrous.domain.geometry import Size
from atrous.domain.recipes import PreprocessRecipe, TrainingRecipe
from atrous.images.decode import image_size
from atrous.training import loop
from atrous.training.memory import keep_freed_memory
from atrous.training.run_folder import RunFolder
from training_sides.sides import Job, Side, Turns

RATE = 1e-4  # weights are random here: nothing may become nan


def train_in_turns(side: Side, job: Job, turns: Turns) -> None:
    """Train epoch after epoch until nothing more is asked."""
    logging.disable(logging.WARNING)  # random weights are meant
    dataset = open_dataset(job.data, DatasetOptions(classes=job.classes, ignore_id=job.ignore_id))
    recipe = recipe_of(side, job, image_size(dataset.splits["train"][0].image))
    keep_freed_memory()
    with tempfile.TemporaryDirectory(prefix="atrous-train-speed-") as folder:
        training = loop.prepare(dataset, recipe, RunFolder(Path(folder)))
    for number in range(len(training.samples)):  # as in every epoch but the first
        training.samples[(0, number, 1.0)]
    batches_of_epoch = loop.batches_of_epoch

    def timed(*arguments: Any, **options: Any) -> Iterator[Any]:
        return turns.timed(batches_of_epoch(*arguments, **options))

    loop.batches_of_epoch = timed
    turns.wait()
    while True:
        loop.train_epoch(training, lambda progress: turns.step_done())
        training.state.epoch += 1


def recipe_of(side: Side, job: Job, photo: Size) -> TrainingRecipe:
    """Our defaults with every lever off that changes what is computed, but for the choices."""
    plain: dict[str, Any] = {
        "frozen_stride": 0,
        "loss_stride": 1,
        "early_share": 0.0,
        "class_weights": None,
        "norm": "batch",
    }
    return TrainingRecipe(
        PreprocessRecipe(photo),
        crop=Size(job.height, job.width),
        backbone=side.backbone,
        pretrained=False,
        iterations=1_000_000,
        batch_size=job.batch_size,
        learning_rate=RATE,
        precision=side.precision,
        **{**plain, **side.choices},
    )
