"""A loss that is no number any more ends a training, before it spoils what is saved."""

import math

import torch

from atrous.domain.errors import TrainingFailed
from atrous.training.running import Training


def finite(loss: float, training: Training) -> float:
    """Give the loss back; TrainingFailed, with what to try, where it is no number."""
    if math.isfinite(loss):
        return loss
    epoch, recipe = training.state.epoch, training.recipe
    kept = f"the checkpoint of epoch {epoch} is kept" if epoch else "no epoch was done"
    slower = f"--learning-rate {recipe.learning_rate / 3:g}"
    exact = "" if recipe.precision == "fp32" else " or --precision fp32"
    raise TrainingFailed(
        f"the loss became {loss} in epoch {epoch + 1}; {kept}. Start a new run with {slower}"
        f"{exact}: --resume keeps the recipe, and is likely to end the same way"
    )


def insist_on_finite_weights(training: Training) -> None:
    """Raise TrainingFailed rather than measure and save weights that the last step spoilt."""
    for value in training.network.state_dict().values():
        if not torch.isfinite(value).all():
            finite(math.nan, training)
