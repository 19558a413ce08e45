from types import ModuleType

import numpy as np
import pytest
import torch

from atrous.domain.classes import IGNORE_ID
from atrous.training.losses_lovasz import _descending, lovasz_softmax


def test_is_smp_s(loss_batches: ModuleType) -> None:
    losses = pytest.importorskip("segmentation_models_pytorch.losses")
    theirs = losses.LovaszLoss("multiclass", ignore_index=IGNORE_ID)
    loss_batches.insist_on_equal(lovasz_softmax, theirs)
    loss_batches.insist_on_equal(lovasz_softmax, theirs, ignored=False)


def test_of_certain_predictions_it_is_one_minus_the_iou(loss_batches: ModuleType) -> None:
    """The Lovasz extension agrees with the set function on its corners."""
    _, truth = loss_batches.batch()
    predicted = truth.roll(1, dims=2).clamp(max=3)
    logits = 500.0 * torch.nn.functional.one_hot(predicted, 4).movedim(3, 1).float()
    seen = truth != IGNORE_ID
    ious = []
    for class_id in range(4):
        here, there = (predicted == class_id) & seen, truth == class_id
        ious.append(float((here & there).sum() / (here | there).sum()))
    assert float(lovasz_softmax(logits, truth)) == pytest.approx(1 - np.mean(ious), abs=1e-5)


def test_the_gradient_is_that_of_the_value(loss_batches: ModuleType) -> None:
    """Along a random direction, where no two errors change their order."""
    logits, targets = loss_batches.batch()
    _, gradient = loss_batches.value_and_gradient(lovasz_softmax, logits, targets)
    direction = torch.randn(logits.shape, generator=torch.Generator().manual_seed(1))
    ahead, behind = (lovasz_softmax(logits + sign * 1e-3 * direction, targets) for sign in (1, -1))
    assert float((ahead - behind) / 2e-3) == pytest.approx(
        float((gradient * direction).sum()), rel=1e-2
    )


def test_an_upstream_factor_reaches_the_gradient(loss_batches: ModuleType) -> None:
    logits, targets = loss_batches.batch()
    _, once = loss_batches.value_and_gradient(lovasz_softmax, logits, targets)
    _, thrice = loss_batches.value_and_gradient(
        lambda x, y: 3 * lovasz_softmax(x, y), logits, targets
    )
    torch.testing.assert_close(thrice, 3 * once)


def test_sorting_by_bits_is_sorting() -> None:
    errors = torch.rand(1000, generator=torch.Generator().manual_seed(0))
    errors[::7] = 0.5
    errors[:3] = torch.tensor([0.0, 1.0, 1e-40])
    order = _descending(errors)
    assert sorted(order.tolist()) == list(range(1000))
    assert (errors[order].diff() <= 0).all()


def test_is_sound(loss_batches: ModuleType) -> None:
    loss_batches.insist_on_sound(lovasz_softmax)
