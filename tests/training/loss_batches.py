"""Batches of logits and targets for the tests of losses, and what holds for every loss."""

from collections.abc import Callable

import torch

from atrous.domain.classes import IGNORE_ID

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
CLASSES = 4


def batch(*, ignored: bool = True, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Two maps of 14x17 and four classes, all of which occur, a part of the first ignored."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(2, CLASSES, 14, 17, generator=generator)
    targets = torch.randint(0, CLASSES, (2, 14, 17), generator=generator)
    if ignored:
        targets[0, :4] = IGNORE_ID
    return logits, targets


def value_and_gradient(
    loss: Loss, logits: torch.Tensor, targets: torch.Tensor
) -> tuple[float, torch.Tensor]:
    """Of a loss at these logits."""
    leaf = logits.clone().requires_grad_()
    value = loss(leaf, targets)
    value.backward()
    assert leaf.grad is not None
    return float(value.detach()), leaf.grad


def insist_on_equal(loss: Loss, reference: Loss, *, ignored: bool = True) -> None:
    """Values and gradients of two implementations are the same within float32's rounding."""
    for seed in range(3):
        logits, targets = batch(ignored=ignored, seed=seed)
        value, gradient = value_and_gradient(loss, logits, targets)
        expected, expected_gradient = value_and_gradient(reference, logits, targets)
        torch.testing.assert_close(value, expected, rtol=2e-5, atol=1e-6)
        torch.testing.assert_close(gradient, expected_gradient, rtol=1e-3, atol=1e-6)


def insist_on_sound(loss: Loss) -> None:
    """What every loss of this project does.

    Ignored pixels have no gradient, a batch without labels has loss 0 and gradient 0, bf16 and
    extreme logits give finite float32 numbers, and a right prediction costs less than a wrong one.
    """
    logits, targets = batch()
    _, gradient = value_and_gradient(loss, logits, targets)
    hidden = (targets == IGNORE_ID)[:, None].expand_as(gradient)
    assert (gradient[hidden] == 0).all()
    assert (gradient[~hidden] != 0).any()
    value, gradient = value_and_gradient(loss, logits, torch.full_like(targets, IGNORE_ID))
    assert value == 0
    assert (gradient == 0).all()
    half = logits.bfloat16()
    assert loss(half, targets).dtype == torch.float32
    assert float(loss(half, targets)) == float(loss(half.float(), targets))
    right = torch.nn.functional.one_hot(targets.clamp(max=CLASSES - 1), CLASSES).movedim(3, 1)
    values = []
    for extreme in (200.0 * right, -200.0 * right):
        value, gradient = value_and_gradient(loss, extreme.float(), targets)
        assert torch.isfinite(gradient).all()
        values.append(value)
    assert 0 <= values[0] < values[1] < float("inf")
