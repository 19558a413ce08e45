from collections.abc import Callable
from dataclasses import replace
from types import ModuleType

import pytest
import torch

from atrous.domain.geometry import Size
from atrous.domain.loss_terms import LOSSES
from atrous.domain.recipes import PreprocessRecipe, TrainingRecipe
from atrous.training.losses import cross_entropy, loss_of
from atrous.training.losses_lovasz import lovasz_softmax
from atrous.training.losses_mutual import region_mutual_information
from atrous.training.losses_pixels import focal, hard_cross_entropy
from atrous.training.losses_regions import dice, tversky

RECIPE = TrainingRecipe(PreprocessRecipe(Size(8, 8)), crop=Size(8, 8))
WEIGHTS = (0.5, 1.0, 2.0, 1.0)
EVERY_LOSS = {
    "ce": lambda x, y: cross_entropy(x, y, 0.1, WEIGHTS),
    "ohem(threshold=0.4)": lambda x, y: hard_cross_entropy(
        x, y, 0.1, WEIGHTS, threshold=0.4, least=0.0625
    ),
    "dice": dice,
    "lovasz": lovasz_softmax,
    "focal(gamma=3)": lambda x, y: focal(x, y, WEIGHTS, gamma=3.0),
    "tversky(beta=0.9)": lambda x, y: tversky(x, y, alpha=0.3, beta=0.9),
    "rmi(pool=2)": lambda x, y: region_mutual_information(x, y, radius=3, pool=2),
}


def test_every_loss_is_tested() -> None:
    assert [text.partition("(")[0] for text in EVERY_LOSS] == list(LOSSES)


@pytest.mark.parametrize("text", EVERY_LOSS)
def test_a_loss_by_its_name(loss_batches: ModuleType, text: str) -> None:
    recipe = replace(RECIPE, loss=text, label_smoothing=0.1, class_weights=WEIGHTS)
    loss_batches.insist_on_equal(lambda x, y: loss_of(x, y, recipe), EVERY_LOSS[text])


def test_the_default_is_cross_entropy_to_the_last_bit(loss_batches: ModuleType) -> None:
    logits, targets = loss_batches.batch()
    assert torch.equal(loss_of(logits, targets, RECIPE), cross_entropy(logits, targets))


def test_a_weighted_sum(loss_batches: ModuleType) -> None:
    recipe = replace(RECIPE, loss="ce + 0.5*lovasz + 2*dice")

    def expected(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        first = cross_entropy(logits, targets)
        return first + 0.5 * lovasz_softmax(logits, targets) + 2 * dice(logits, targets)

    loss_batches.insist_on_equal(lambda x, y: loss_of(x, y, recipe), expected)


def test_a_sum_is_sound(loss_batches: ModuleType) -> None:
    text = " + ".join(name if name != "rmi" else "0.1*rmi(pool=2)" for name in LOSSES)
    recipe = replace(RECIPE, loss=text, class_weights=WEIGHTS)
    loss_batches.insist_on_sound(lambda x, y: loss_of(x, y, recipe))


def test_the_auxiliary_head_counts_by_its_weight(loss_batches: ModuleType) -> None:
    logits, targets = loss_batches.batch()
    auxiliary = logits.flip(1)
    recipe = replace(RECIPE, auxiliary_weight=0.4, loss="ce + dice")
    both = float(loss_of((logits, auxiliary), targets, recipe))
    loss: Callable[[torch.Tensor], float] = lambda x: float(loss_of(x, targets, recipe))  # noqa: E731
    assert both == pytest.approx(loss(logits) + 0.4 * loss(auxiliary))
