"""A training at work: what it holds in memory, and what follows from its clock and its steps."""

import math
import time
from dataclasses import dataclass

import torch
from torch.amp import GradScaler

from atrous.datasets.version import Dataset
from atrous.deeplab.network import DeepLab
from atrous.domain.recipes import TrainingRecipe
from atrous.training.averaging import WeightAverage
from atrous.training.checkpoint import TrainingState
from atrous.training.processes import Processes
from atrous.training.run_folder import RunFolder
from atrous.training.samples import TrainingSamples, steps_per_epoch
from atrous.training.schedule import progress_of, training_time_s

LAST_START = 0.99  # share of the time for training after which no epoch begins
MEASURING_COST = 1 / 3  # time that a photo is measured in, of that in which it is trained on
EXPORT_S = 10.0  # that an export takes, and its comparison with the trained network


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
    scaler: GradScaler
    state: TrainingState
    started_s: float  # of the monotonic clock, moved back by the time of earlier sittings
    processes: Processes

    @property
    def elapsed_s(self) -> float:
        """Wall time spent on the run, pauses between sittings left out.

        By the first process's clock: whatever depends on the time must come out the same in all.
        """
        return self.processes.of_first(self.own_elapsed_s)

    @property
    def own_elapsed_s(self) -> float:
        """The same by this process's clock: for what one process does and the others don't."""
        return time.monotonic() - self.started_s

    @property
    def fraction(self) -> float:
        """How much of the training lies behind, 0..1."""
        return progress_of(self.state.step, self._steps, self.elapsed_s, self.training_s)

    @property
    def fraction_at_step(self) -> float:
        """The same in the middle of the step at hand: neither the first nor the last rate is 0."""
        return progress_of(self.state.step + 0.5, self._steps, self.elapsed_s, self.training_s)

    @property
    def epoch_is_over(self) -> bool:
        """Whether all batches of the epoch at hand are done, or no time is left for more."""
        return self.state.batch >= self._steps_in_epoch or self.fraction >= 1.0

    @property
    def candidate(self) -> DeepLab:
        """The network to measure and publish, in evaluation mode: averaged, where that is asked."""
        return self.average.network if self.recipe.ema_decay > 0 else self.network.eval()

    @property
    def scale(self) -> float:
        """How much shorter the sides of photos and crops are in the step at hand."""
        early = bool(self.recipe.early_share) and self.fraction < self.recipe.early_share
        return self.recipe.early_scale if early else 1.0

    @property
    def norms_settle_now(self) -> bool:
        """Whether the norms' statistics, which have learnt so far, are to stay from now on."""
        share = self.recipe.norm_share
        return share < 1.0 and not self.state.norms_settled and self.fraction >= share

    @property
    def training_s(self) -> float | None:
        """What of the time budget is for training, by what validations take; None without one."""
        if self.recipe.time_budget_s is None:
            return None
        recipe, splits = self.recipe, self.dataset.splits
        validation_s = self.state.validation_s or self._first_validation_s
        one_by_one = self.processes.count * validation_s / len(splits["valid"])
        finer = max(1, recipe.output_stride // recipe.export_output_stride)
        larger = max(1.0, recipe.export_preprocess.size.area / recipe.preprocess.size.area)
        looks = 2 if recipe.export_flip else 1
        photos = len(splits["valid"]) + len(splits.get("test", ()))
        measured = finer * larger * looks * one_by_one * photos
        ending_s = validation_s + EXPORT_S + measured
        return training_time_s(self.recipe.time_budget_s, ending_s)

    @property
    def time_is_up(self) -> bool:
        """Whether too little of the time budget is left to begin another epoch."""
        training_s = self.training_s
        return training_s is not None and self.elapsed_s >= LAST_START * training_s

    @property
    def is_over(self) -> bool:
        """Whether the epoch that was just trained is the last one."""
        return self.fraction >= 1.0 or self.time_is_up

    @property
    def validation_is_due(self) -> bool:
        """Whether the epoch that was just trained shall be measured.

        Measuring costs less than training (MEASURING_COST): so, except after the first epoch and
        the last, a validation follows on several times its photos.
        """
        wanted = self.recipe.validation_interval * len(self.dataset.splits["valid"])
        state = self.state
        return state.best_epoch == 0 or state.photos_unmeasured >= wanted or self.is_over

    @property
    def _first_validation_s(self) -> float:
        """What the first validation will take, by the photos trained on so far; 0 before any."""
        crops = self.state.photos_unmeasured
        if not crops:
            return 0.0
        recipe = self.recipe
        larger = recipe.preprocess.size.area / recipe.crop.area  # photos are measured whole
        photos = len(self.dataset.splits["valid"])
        return MEASURING_COST * larger * photos * self.elapsed_s / crops

    @property
    def _steps_in_epoch(self) -> int:
        return steps_per_epoch(self.samples.epoch_length, self.recipe.batch_size)

    @property
    def _steps(self) -> int | float:
        """Steps of the whole training, were there no time budget; infinite where that alone is."""
        iterations, epochs = self.recipe.iterations, self.recipe.epochs
        return min(
            math.inf if iterations is None else iterations,
            math.inf if epochs is None else self._steps_in_epoch * epochs,
        )
