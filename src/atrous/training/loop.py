"""The training loop: frozen data set and recipe in, best checkpoint out."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from atrous.datasets.version import Dataset
from atrous.domain.errors import BadDataset, BadInput
from atrous.domain.recipes import TrainingRecipe
from atrous.masks.metrics import ConfusionMatrix
from atrous.runtime.evaluation import measure
from atrous.training.augmented_picture import write_augmented_picture
from atrous.training.averaging import WeightAverage
from atrous.training.batch_parts import parts_of, with_less_memory
from atrous.training.checkpoint import TrainingState, has_last, load_last, save_best, save_last
from atrous.training.depthwise import quick_depthwise_gradients
from atrous.training.finite_loss import finite, insist_on_finite_weights
from atrous.training.first_network import load_first_weights, make_network
from atrous.training.full_disk import explained_write_errors
from atrous.training.losses import loss_of
from atrous.training.memory import keep_freed_memory
from atrous.training.network_predictor import NetworkPredictor
from atrous.training.norms import set_norms, settle_norms, share_norms
from atrous.training.optimizer import clip_gradients, make_optimizer, set_rates
from atrous.training.precision import autocast, float32_products, gradient_scaler, pick_device
from atrous.training.processes import ALONE, Processes
from atrous.training.run_folder import RunFolder
from atrous.training.running import Training
from atrous.training.samples import (
    TrainingSamples,
    batches_of_epoch,
    normalize_batch,
    steps_per_epoch,
)
from atrous.training.schedule import rate_factor, seconds_left, usual_s
from atrous.training.waiting import counted, stepping

logger = logging.getLogger(__name__)
CHECKPOINT_S = 300.0  # after so long a checkpoint is written in the midst of an epoch


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


def train(
    dataset: Dataset,
    recipe: TrainingRecipe,
    run: RunFolder,
    report: Report,
    processes: Processes = ALONE,
) -> TrainingState:
    """Train until the recipe's iterations, epochs or time are spent; go on where `run` left off.

    After every epoch `results.csv` and the checkpoint to go on from are written, and in the midst
    of an epoch after CHECKPOINT_S: a kill loses no more. Raises BadDataset without a training or
    validation split, TrainingFailed when the loss is no number any more. Of several processes each
    calls it; the first one writes the files.
    """
    keep_freed_memory()
    if recipe.iterations is recipe.epochs is recipe.time_budget_s is None:
        raise BadInput("nothing ends this training: give iterations, epochs or time_budget_s")
    training = prepare(dataset, recipe, run, processes)
    scale = training.scale  # by the first process's clock, which all have to ask for
    if processes.is_first and not training.state.finished:
        write_augmented_picture(training.samples, training.state.epoch, scale, dataset.classes, run)
    with float32_products(recipe, training.device), something_to_report(training):
        while not training.state.finished:
            rate = train_epoch(training, report)
            loss = training.state.mean_loss
            row = end_epoch(training, loss, rate) if training.epoch_is_over else None
            with explained_write_errors(run):
                save(training)
            if row:
                report(progress_now(training, loss, row))
    return training.state


def prepare(
    dataset: Dataset, recipe: TrainingRecipe, run: RunFolder, processes: Processes = ALONE
) -> Training:
    """Build network, averaged copy and optimizer, and load the last checkpoint if there is one."""
    for split in ("train", "valid"):
        if not dataset.splits.get(split):
            raise BadDataset(f"{dataset.root} has no photos in its {split} split; add some")
    samples = TrainingSamples(dataset.splits["train"], recipe)
    photos_each = samples.batch_size // processes.count
    if photos_each == 0:
        raise BadInput(
            f"{processes.count} devices share {samples.epoch_length} photos; give --devices 1"
        )
    torch.manual_seed(recipe.seed)
    device = pick_device()
    network = make_network(recipe, len(dataset.classes))
    if not has_last(run):  # what a run started from may be gone when it goes on
        load_first_weights(network, recipe)
    network = share_norms(network, recipe, processes, device)
    network.to(device).to(memory_format=torch.channels_last)
    average = WeightAverage(network, recipe.ema_decay)
    optimizer = make_optimizer(network, recipe)
    scaler = gradient_scaler(recipe, device)
    state = load_last(run, network, average, optimizer) or TrainingState()
    # At least what the recipe says now, and the same number in all processes.
    state.parts = min(max(state.parts, recipe.accumulation), photos_each)
    if state.scaler:
        scaler.load_state_dict(state.scaler)
    processes.follow_first(network, average.network)
    if recipe.compile:
        network.compile()
    return Training(
        dataset=dataset,
        recipe=recipe,
        run=run,
        samples=samples,
        device=device,
        network=network,
        average=average,
        optimizer=optimizer,
        scaler=scaler,
        state=state,
        started_s=time.monotonic() - state.elapsed_s,
        processes=processes,
    )


def train_epoch(training: Training, report: Report) -> float:
    """The rest of one pass over the training photos; gives the last learning rate of the head.

    Cut short where the time budget ends, or where it is time for a checkpoint: the next call goes
    on from there.
    """
    network, state = training.network, training.state
    network.train()
    set_norms(network, training.recipe, state.norms_settled)
    rate, begun = 0.0, state.step
    with stepping(state):
        for images, label_maps in counted(batches_at_hand(training), state):
            if training.fraction >= 1.0 and state.step > begun:
                break
            rate = take_step(training, images, label_maps)
            progress = progress_now(training, state.mean_loss)
            report(progress)
            if progress.elapsed_s - state.elapsed_s >= CHECKPOINT_S:
                break
    training.processes.follow_first(network, training.average.network)  # norms saw other photos
    insist_on_finite_weights(training)
    return rate


def take_step(
    training: Training,
    images: UInt8[Tensor, "batch 3 height width"],
    label_maps: UInt8[Tensor, "batch height width"],
) -> float:
    """Learn from one batch; gives the learning rate of the head."""
    recipe, network, state = training.recipe, training.network, training.state
    processes, scaler = training.processes, training.scaler
    # Dropout draws from this state: a resumed training draws what an uninterrupted one drew.
    torch.manual_seed(recipe.seed * 1_000_003 + state.step + processes.rank * 1_000_000_007)
    if training.norms_settle_now:
        settle_norms(network, training.average.network)
        processes.follow_first(network, training.average.network)  # each has its own until now
        state.norms_settled = True
        set_norms(network, recipe, state.norms_settled)
    rate = set_rates(training.optimizer, rate_factor(training.fraction_at_step, recipe))
    compute = partial(gradients_of, training, images, label_maps)
    loss, state.parts = with_less_memory(compute, state.parts, len(images), processes)
    state.loss_sum += loss
    state.photos_unmeasured += training.samples.batch_size * images[0, 0].numel() / recipe.crop.area
    scaler.unscale_(training.optimizer)
    clip_gradients(network, recipe)
    scaler.step(training.optimizer)
    scaler.update()
    training.average.update(network)
    state.step += 1
    state.batch += 1
    return rate


def batches_at_hand(
    training: Training,
) -> Iterator[tuple[UInt8[Tensor, "batch 3 height width"], UInt8[Tensor, "batch height width"]]]:
    """The batches that are left of this epoch; smaller photos may end in its midst."""
    samples, epoch, done = training.samples, training.state.epoch, training.state.batch
    while done < steps_per_epoch(samples.epoch_length, samples.recipe.batch_size):
        scale = training.scale
        for batch in batches_of_epoch(samples, epoch, scale, training.processes, first=done):
            yield batch
            done += 1
            if training.scale != scale:
                break


def gradients_of(
    training: Training,
    images: UInt8[Tensor, "batch 3 height width"],
    label_maps: UInt8[Tensor, "batch height width"],
    parts: int,
) -> float:
    """Leave the gradients of a batch, computed in so many parts, and give its loss.

    Of several processes each computes its own photos, and all get the whole batch's.
    """
    recipe, device, processes = training.recipe, training.device, training.processes
    training.optimizer.zero_grad(set_to_none=True)
    pixels = loss_pixels(recipe.loss_stride, training.state.step)
    total = 0.0
    targets = label_maps if pixels is None else label_maps[:, pixels[0], pixels[1]]
    own = processes.share_of_labelled(targets)
    for photos, labels, share in parts_of(images, targets, parts):
        batch = normalize_batch(photos.to(device), recipe)
        with autocast(recipe, device), quick_depthwise_gradients(device):
            output = training.network(batch.contiguous(memory_format=torch.channels_last), pixels)
        loss = own * share * loss_of(output, labels.to(device).long(), recipe)
        total += loss.item()
        training.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
    processes.sum_gradients(training.network)
    return finite(processes.sum(total), training)


def loss_pixels(stride: int, step: int) -> tuple[slice, slice] | None:
    """Rows and columns that the loss of a step sees, None for all; over the steps, each in turn.

    >>> loss_pixels(2, 1)
    (slice(0, None, 2), slice(1, None, 2))
    """
    if stride == 1:
        return None
    row, column = divmod(step % stride**2, stride)
    return slice(row, None, stride), slice(column, None, stride)


def end_epoch(training: Training, loss: float, rate: float) -> dict[str, Any]:
    """Measure the epoch where that is due, count it, and give its row for `results.csv`."""
    state, due = training.state, training.validation_is_due
    figures = validate(training) if due else {}
    waiting = state.waiting_share
    state.epoch, state.batch, state.loss_sum = state.epoch + 1, 0, 0.0
    state.waited_s = state.stepped_s = 0.0
    state.finished = due and training.is_over
    row = {
        "epoch": state.epoch,
        "train_loss": loss,
        "valid_miou": (figures["miou"] or 0.0) if due else None,
        "valid_pixel_accuracy": figures.get("pixel_accuracy"),
        "learning_rate": rate,
        "elapsed_s": round(training.elapsed_s, 1),
        "waiting_share": round(waiting, 4),
        **{f"iou_{entry['name']}": entry["iou"] for entry in figures.get("classes", ())},
    }
    state.results.append(row)
    return row


def validate(training: Training) -> dict[str, Any]:
    """Measure the averaged weights on the validation split and keep them if they are the best.

    Gives the figures as reports have them.
    """
    classes, state = training.dataset.classes, training.state
    predictor = NetworkPredictor(training.candidate, training.recipe)
    photos = training.processes.part_of(training.dataset.splits["valid"])
    began_s = training.elapsed_s
    counts = training.processes.sum_of_counts(measure(predictor, photos, len(classes)).counts)
    metrics = ConfusionMatrix(counts).as_report(classes.names, classes.labelled_ids)
    state.validation_s = usual_s(state.validation_s, training.elapsed_s - began_s)
    state.photos_unmeasured = 0.0
    miou = metrics["miou"] or 0.0
    if miou > state.best_miou:
        state.best_miou, state.best_epoch = miou, state.epoch + 1
        with explained_write_errors(training.run):
            keep_candidate(training, state.best_epoch, metrics)
    return metrics


def keep_candidate(training: Training, epoch: int, metrics: dict[str, Any]) -> None:
    """Save the weights that would be published, with what was measured after `epoch`."""
    if training.processes.is_first:
        classes, recipe = training.dataset.classes, training.recipe
        save_best(training.run, epoch, training.candidate, classes, recipe, metrics)


@contextmanager
def something_to_report(training: Training) -> Iterator[None]:
    """Where Ctrl-C ends the first epoch, keep its weights: the report is made of them."""
    try:
        yield
    except KeyboardInterrupt:
        if training.state.step and not training.state.best_epoch:
            with explained_write_errors(training.run):
                keep_beginning(training)
        raise


def keep_beginning(training: Training) -> None:
    """Save what there is before the end of the first epoch: its weights, and a row of epoch 0."""
    keep_candidate(training, 0, {})
    if training.processes.is_first:
        row = {
            "epoch": 0,
            "train_loss": training.state.mean_loss,
            "valid_miou": None,
            "valid_pixel_accuracy": None,
            "elapsed_s": round(training.own_elapsed_s, 1),
        }
        training.run.write_results([row])


def save(training: Training) -> None:
    """Write results and the checkpoint that a resumed run starts from."""
    state = training.state
    state.elapsed_s = training.elapsed_s
    state.scaler = training.scaler.state_dict()
    if not training.processes.is_first:
        return
    if state.results:
        training.run.write_results(state.results)
    else:  # in the midst of a first epoch that is long
        keep_beginning(training)
    save_last(training.run, state, training.network, training.average, training.optimizer)


def progress_now(training: Training, loss: float, row: dict[str, Any] | None = None) -> Progress:
    """How far the training is at this moment."""
    fraction, elapsed = training.fraction, training.elapsed_s
    return Progress(
        epoch=training.state.epoch + (row is None),
        fraction=fraction,
        loss=loss,
        elapsed_s=elapsed,
        left_s=seconds_left(fraction, elapsed, training.recipe, training.training_s)
        if fraction > 0.005
        else None,
        results=row,
    )
