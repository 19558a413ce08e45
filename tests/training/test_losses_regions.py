from types import ModuleType

import pytest
import torch

from atrous.domain.classes import IGNORE_ID
from atrous.training.losses_regions import dice, tversky


def test_dice_is_smp_s(loss_batches: ModuleType) -> None:
    losses = pytest.importorskip("segmentation_models_pytorch.losses")
    theirs = losses.DiceLoss("multiclass", ignore_index=IGNORE_ID)
    loss_batches.insist_on_equal(dice, theirs)


@pytest.mark.parametrize(("alpha", "beta"), [(0.3, 0.7), (1.0, 0.0), (1.0, 1.0)])
def test_tversky_is_smp_s(loss_batches: ModuleType, alpha: float, beta: float) -> None:
    losses = pytest.importorskip("segmentation_models_pytorch.losses")
    theirs = losses.TverskyLoss("multiclass", ignore_index=IGNORE_ID, alpha=alpha, beta=beta)
    loss_batches.insist_on_equal(lambda x, y: tversky(x, y, alpha=alpha, beta=beta), theirs)


def test_by_hand() -> None:
    """Two pixels of class 0, one of class 1, of which the first is certain of the wrong class."""
    logits = torch.tensor([[-50.0, 50.0, -50.0], [50.0, -50.0, 50.0]]).reshape(1, 2, 1, 3)
    targets = torch.tensor([[[0, 0, 1]]])
    # Class 0: one true, one missed. Class 1: one true, one false.
    expected = ((1 - 1 / (1 + 0.7)) + (1 - 1 / (1 + 0.3))) / 2
    assert float(tversky(logits, targets, alpha=0.3, beta=0.7)) == pytest.approx(expected)
    assert float(dice(logits, targets)) == pytest.approx(1 - 2 / 3)


def test_classes_that_do_not_occur_count_neither_way(loss_batches: ModuleType) -> None:
    logits, targets = loss_batches.batch()
    without = targets.masked_fill(targets == 3, IGNORE_ID)
    probabilities = torch.softmax(logits, dim=1)
    scores = []
    for class_id in range(3):
        truth = (without == class_id).double()
        share = probabilities[:, class_id] * (without != IGNORE_ID)
        scores.append(2 * (share * truth).sum() / (share.sum() + truth.sum()))
    assert float(dice(logits, without)) == pytest.approx(float(1 - sum(scores) / 3))


def test_both_are_sound(loss_batches: ModuleType) -> None:
    loss_batches.insist_on_sound(dice)
    loss_batches.insist_on_sound(lambda x, y: tversky(x, y, alpha=0.3, beta=0.7))
    loss_batches.insist_on_sound(lambda x, y: tversky(x, y, alpha=0.0, beta=0.0001))
