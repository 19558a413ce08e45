from types import ModuleType

import numpy as np
import pytest
import torch

from atrous.domain.classes import IGNORE_ID
from atrous.training.losses_pixels import cross_entropy, focal, hard_cross_entropy

WEIGHTS = (0.5, 1.0, 2.0, 0.25)


def plain_cross_entropy(logits: np.ndarray, targets: np.ndarray, smoothing: float) -> float:
    """Over the pixels that are not 255, one after the other."""
    losses = []
    for n, row, column in np.argwhere(targets != IGNORE_ID):
        scores = logits[n, :, row, column].astype(np.float64)
        log_shares = scores - scores.max() - np.log(np.exp(scores - scores.max()).sum())
        wanted = np.full(len(scores), smoothing / len(scores))
        wanted[targets[n, row, column]] += 1 - smoothing
        losses.append(-(wanted * log_shares).sum())
    return float(np.mean(losses))


def labelled_log_probability(
    logits: torch.Tensor, targets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Of the true class of each labelled pixel, and that class."""
    labelled = targets != IGNORE_ID
    chosen = targets[labelled]
    log_p = torch.log_softmax(logits.movedim(1, 3)[labelled].double(), dim=1)
    return log_p[torch.arange(len(chosen)), chosen], chosen


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_agrees_with_a_plain_loop(loss_batches: ModuleType, smoothing: float) -> None:
    logits, targets = loss_batches.batch()
    expected = plain_cross_entropy(logits.numpy(), targets.numpy(), smoothing)
    assert float(cross_entropy(logits, targets, smoothing)) == pytest.approx(expected, rel=1e-5)


def test_cross_entropy_is_smp_s(loss_batches: ModuleType) -> None:
    """smp divides by all pixels, ignored ones included."""
    losses = pytest.importorskip("segmentation_models_pytorch.losses")
    theirs = losses.SoftCrossEntropyLoss(smooth_factor=0.0, ignore_index=IGNORE_ID)
    labelled = 2 * 14 * 17 - 4 * 17
    loss_batches.insist_on_equal(
        cross_entropy, lambda x, y: theirs(x, y) * (2 * 14 * 17) / labelled
    )


def test_class_weights_count_pixels_more_or_less(loss_batches: ModuleType) -> None:
    def reference(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        log_p, chosen = labelled_log_probability(logits, targets)
        return (-log_p * torch.tensor(WEIGHTS)[chosen]).mean()

    loss_batches.insist_on_equal(lambda x, y: cross_entropy(x, y, class_weights=WEIGHTS), reference)


@pytest.mark.parametrize(
    ("threshold", "least"), [(0.7, 0.0), (0.3, 0.0), (0.0, 0.25), (0.05, 0.5), (1.0, 0.0)]
)
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_hard_examples(
    loss_batches: ModuleType, threshold: float, least: float, weights: tuple[float, ...] | None
) -> None:
    def reference(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        log_p, chosen = labelled_log_probability(logits, targets)
        order = log_p.argsort()
        kept = max(1, round(least * len(order)), int((log_p.exp() < threshold).sum()))
        losses = -log_p if weights is None else -log_p * torch.tensor(weights)[chosen]
        return losses[order[:kept]].mean()

    loss_batches.insist_on_equal(
        lambda x, y: hard_cross_entropy(x, y, 0.0, weights, threshold=threshold, least=least),
        reference,
    )


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_focal(loss_batches: ModuleType, gamma: float, weights: tuple[float, ...] | None) -> None:
    def reference(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        log_p, chosen = labelled_log_probability(logits, targets)
        losses = -((1 - log_p.exp()) ** gamma) * log_p
        return (losses if weights is None else losses * torch.tensor(weights)[chosen]).mean()

    loss_batches.insist_on_equal(lambda x, y: focal(x, y, weights, gamma=gamma), reference)


def test_focal_without_focus_is_cross_entropy(loss_batches: ModuleType) -> None:
    loss_batches.insist_on_equal(lambda x, y: focal(x, y, gamma=0.0), cross_entropy)


def test_all_are_sound(loss_batches: ModuleType) -> None:
    loss_batches.insist_on_sound(cross_entropy)
    loss_batches.insist_on_sound(lambda x, y: cross_entropy(x, y, 0.1, WEIGHTS))
    loss_batches.insist_on_sound(
        lambda x, y: hard_cross_entropy(x, y, 0.1, WEIGHTS, threshold=0.7, least=0.1)
    )
    loss_batches.insist_on_sound(lambda x, y: focal(x, y, WEIGHTS, gamma=2.0))
    loss_batches.insist_on_sound(lambda x, y: focal(x, y, gamma=0.5))
