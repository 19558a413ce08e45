"""The training loop: frozen data set and recipe in, best checkpoint out."""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from atrous.datasets.version import Dataset
from atrous.deeplab.network import DeepLab, build_network
from atrous.deeplab.starting_point import load_starting_point
from atrous.deeplab.weights import load_backbone_weights
from atrous.domain.errors import BadDataset, TrainingFailed
from atrous.domain.recipes import TrainingRecipe
from atrous.runtime.evaluation import measure
from atrous.training.averaging import WeightAverage
from atrous.training.checkpoint import TrainingState, load_last, save_best, save_last
from atrous.training.depthwise import float32_depthwise_gradients
from atrous.training.losses import loss_of
from atrous.training.memory import keep_freed_memory
from atrous.training.network_predictor import NetworkPredictor
from atrous.training.optimizer import make_optimizer, set_rates
from atrous.training.precision import autocast, pick_device
from atrous.training.run_folder import RunFolder
from atrous.training.samples import (
    TrainingSamples,
    batches_of_epoch,
    normalize_batch,
    steps_per_epoch,
)
from atrous.training.schedule import TRAINING_SHARE, progress_of, rate_factor

logger = logging.getLogger(__name__)
LAST_START = 0.99  # share of the time for training after which no epoch begins


@dataclass(frozen=True)
class Progress:
    """How far a training is, reported after every step and every epoch."""

    epoch: int  # counted from 1
    fraction: float  # of the whole training, 0..1
    loss: float  # mean over this epoch so far
    elapsed_s: float
    left_s: float | None  # None in the very beginning
    results: dict[str, Any] | None = None  # the row of an epoch that has just ended


Report = Callable[[Progress], None]


@dataclass
class Training:
    """All that one run holds in memory."""

    dataset: Dataset
    recipe: TrainingRecipe
    run: RunFolder
    samples: TrainingSamples
    device: torch.device
    network: DeepLab
    average: WeightAverage
    optimizer: torch.optim.Optimizer
    state: TrainingState
    started_s: float  # of the monotonic clock, moved back by the time of earlier sittings

    @property
    def elapsed_s(self) -> float:
        """Wall time spent on the run, pauses between sittings left out."""
        return time.monotonic() - self.started_s

    @property
    def fraction(self) -> float:
        """How much of the training lies behind, 0..1."""
        return progress_of(self.state.step, self._steps, self.elapsed_s, self.recipe)

    @property
    def fraction_at_step(self) -> float:
        """The same in the middle of the step at hand: neither the first nor the last rate is 0."""
        return progress_of(self.state.step + 0.5, self._steps, self.elapsed_s, self.recipe)

    @property
    def time_is_up(self) -> bool:
        """Whether too little of the time budget is left to begin another epoch."""
        budget_s = self.recipe.time_budget_s
        return budget_s is not None and self.elapsed_s >= LAST_START * TRAINING_SHARE * budget_s

    @property
    def _steps(self) -> int:
        """Steps of the whole training, were there no time budget."""
        return steps_per_epoch(len(self.samples), self.recipe.batch_size) * self.recipe.epochs


def train(
    dataset: Dataset, recipe: TrainingRecipe, run: RunFolder, report: Report
) -> TrainingState:
    """Train until the recipe's epochs or time budget are spent; go on where `run` left off.

    After every epoch `results.csv` and the checkpoints are written, so that a kill loses at most
    one epoch. Raises BadDataset without a training or validation split, TrainingFailed when the
    loss is no number any more.
    """
    keep_freed_memory()
    training = prepare(dataset, recipe, run)
    while not training.state.finished:
        loss, rate = train_epoch(training, report)
        row = validate(training, loss, rate)
        save(training)
        report(progress_now(training, loss, row))
    return training.state


def prepare(dataset: Dataset, recipe: TrainingRecipe, run: RunFolder) -> Training:
    """Build network, averaged copy and optimizer, and load the last checkpoint if there is one."""
    for split in ("train", "valid"):
        if not dataset.splits.get(split):
            raise BadDataset(f"{dataset.root} has no photos in its {split} split; add some")
    torch.manual_seed(recipe.seed)
    device = pick_device()
    network = make_network(recipe, len(dataset.classes))
    network.to(device).to(memory_format=torch.channels_last)
    average = WeightAverage(network, recipe.ema_decay)
    optimizer = make_optimizer(network, recipe)
    state = load_last(run, network, average, optimizer) or TrainingState()
    return Training(
        dataset=dataset,
        recipe=recipe,
        run=run,
        samples=TrainingSamples(dataset.splits["train"], recipe),
        device=device,
        network=network,
        average=average,
        optimizer=optimizer,
        state=state,
        started_s=time.monotonic() - state.elapsed_s,
    )


def make_network(recipe: TrainingRecipe, classes: int) -> DeepLab:
    """Build the network and load what it starts from: a checkpoint, ImageNet weights, nothing."""
    network = build_network(
        recipe.architecture,
        recipe.backbone,
        classes,
        output_stride=recipe.output_stride,
        separable=recipe.separable,
        auxiliary=recipe.auxiliary_weight > 0,
    )
    if recipe.start:
        load_starting_point(network, Path(recipe.start))
    elif recipe.pretrained:
        load_backbone_weights(network)
    else:
        logger.warning("backbone %s starts from RANDOM weights, as asked", recipe.backbone)
    return network


def train_epoch(training: Training, report: Report) -> tuple[float, float]:
    """One pass over the training photos, cut short where the time budget ends.

    Gives the mean loss and the last learning rate of the head.
    """
    recipe, network, state = training.recipe, training.network, training.state
    total_loss, batches, rate = 0.0, 0, 0.0
    # Dropout draws from this state: a resumed epoch draws what its first attempt drew.
    torch.manual_seed(recipe.seed * 1_000_003 + state.epoch)
    network.train()
    for images, label_maps in batches_of_epoch(training.samples, state.epoch):
        if training.fraction >= 1.0 and batches:
            break
        rate = set_rates(training.optimizer, rate_factor(training.fraction_at_step, recipe))
        batch = normalize_batch(images.to(training.device), recipe)
        with autocast(recipe, training.device):
            output = network(batch.contiguous(memory_format=torch.channels_last))
        loss = loss_of(output, label_maps.to(training.device).long(), recipe)
        total_loss += finite(loss.item(), training)
        batches += 1
        training.optimizer.zero_grad(set_to_none=True)
        with float32_depthwise_gradients(training.device):
            loss.backward()  # type: ignore[no-untyped-call]
        training.optimizer.step()
        training.average.update(network)
        state.step += 1
        report(progress_now(training, total_loss / batches))
    insist_on_finite_weights(training)
    return total_loss / batches, rate


def validate(training: Training, loss: float, rate: float) -> dict[str, Any]:
    """Measure the averaged weights on the validation split and keep them if they are the best.

    Gives the epoch's row for `results.csv`.
    """
    classes, state = training.dataset.classes, training.state
    averaged = training.recipe.ema_decay > 0
    candidate = training.average.network if averaged else training.network.eval()
    predictor = NetworkPredictor(candidate, training.recipe)
    matrix = measure(predictor, training.dataset.splits["valid"], len(classes))
    metrics = matrix.as_report(classes.names, classes.labelled_ids)
    miou = metrics["miou"] or 0.0
    state.epoch += 1
    if miou > state.best_miou:
        state.best_miou, state.best_epoch = miou, state.epoch
        save_best(training.run, state.epoch, candidate, classes, training.recipe, metrics)
    row = {
        "epoch": state.epoch,
        "train_loss": loss,
        "valid_miou": miou,
        "valid_pixel_accuracy": metrics["pixel_accuracy"],
        "learning_rate": rate,
        "elapsed_s": round(training.elapsed_s, 1),
        **{f"iou_{entry['name']}": entry["iou"] for entry in metrics["classes"]},
    }
    state.results.append(row)
    return row


def save(training: Training) -> None:
    """Write results and the checkpoint that a resumed run starts from."""
    state = training.state
    state.elapsed_s = training.elapsed_s
    state.finished = training.fraction >= 1.0 or training.time_is_up
    training.run.write_results(state.results)
    save_last(training.run, state, training.network, training.average, training.optimizer)


def insist_on_finite_weights(training: Training) -> None:
    """Raise TrainingFailed rather than measure and save weights that the last step spoilt."""
    for value in training.network.state_dict().values():
        if not torch.isfinite(value).all():
            finite(math.nan, training)


def finite(loss: float, training: Training) -> float:
    """Give the loss back, or stop a training whose loss is no number any more."""
    if math.isfinite(loss):
        return loss
    epoch, rate = training.state.epoch, training.recipe.learning_rate
    raise TrainingFailed(
        f"the loss became {loss} in epoch {epoch + 1}; the checkpoint of epoch {epoch} is kept. "
        f"Try --learning-rate {rate / 3:g} or --precision fp32"
    )


def progress_now(training: Training, loss: float, row: dict[str, Any] | None = None) -> Progress:
    """How far the training is at this moment."""
    fraction, elapsed = training.fraction, training.elapsed_s
    return Progress(
        epoch=training.state.epoch + (row is None),
        fraction=fraction,
        loss=loss,
        elapsed_s=elapsed,
        left_s=elapsed * (1 - fraction) / fraction if fraction > 0.005 else None,
        results=row,
    )
