import numpy as np
import pytest
import torch

from atrous.domain.classes import IGNORE_ID
from atrous.domain.geometry import Size
from atrous.domain.recipes import PreprocessRecipe, TrainingRecipe
from atrous.training.losses import cross_entropy, loss_of

RECIPE = TrainingRecipe(PreprocessRecipe(Size(8, 8)), crop=Size(8, 8))


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


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = 4 * torch.randn(2, 5, 6, 7, generator=generator)
    targets = torch.randint(0, 5, (2, 6, 7), generator=generator)
    targets[0, :3] = IGNORE_ID
    return logits, targets


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_agrees_with_a_plain_loop(smoothing: float) -> None:
    logits, targets = batch()
    expected = plain_cross_entropy(logits.numpy(), targets.numpy(), smoothing)
    assert float(cross_entropy(logits, targets, smoothing)) == pytest.approx(expected, rel=1e-5)


def test_class_weights_count_pixels_more_or_less() -> None:
    logits, targets = batch()
    weights = (0.5, 1.0, 2.0, 1.0, 4.0)
    per_pixel = torch.nn.functional.cross_entropy(
        logits, targets, ignore_index=IGNORE_ID, reduction="none"
    )
    labelled = targets != IGNORE_ID
    factors = torch.tensor(weights)[targets[labelled]]
    expected = float((per_pixel[labelled] * factors).mean())
    assert float(cross_entropy(logits, targets, class_weights=weights)) == pytest.approx(expected)
    recipe = TrainingRecipe(RECIPE.preprocess, RECIPE.crop, class_weights=weights)
    assert float(loss_of(logits, targets, recipe)) == pytest.approx(expected)


def test_ignored_pixels_get_no_gradient() -> None:
    logits, targets = batch()
    logits.requires_grad_()
    cross_entropy(logits, targets).backward()
    ignored = (targets == IGNORE_ID)[:, None].expand_as(logits)
    assert (logits.grad[ignored] == 0).all()
    assert (logits.grad[~ignored] != 0).any()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_batch_without_labels_is_nought(smoothing: float) -> None:
    logits, targets = batch()
    logits.requires_grad_()
    loss = cross_entropy(logits, torch.full_like(targets, IGNORE_ID), smoothing)
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()


def test_bf16_logits_are_summed_in_float32() -> None:
    logits, targets = batch()
    loss = cross_entropy(logits.bfloat16(), targets)
    assert loss.dtype == torch.float32
    assert float(loss) == float(cross_entropy(logits.bfloat16().float(), targets))


def test_the_auxiliary_head_counts_by_its_weight() -> None:
    logits, targets = batch()
    auxiliary = logits.flip(1)
    recipe = TrainingRecipe(RECIPE.preprocess, RECIPE.crop, auxiliary_weight=0.4)
    both = float(loss_of((logits, auxiliary), targets, recipe))
    alone = float(loss_of(logits, targets, recipe))
    assert alone == pytest.approx(float(cross_entropy(logits, targets)))
    assert both == pytest.approx(alone + 0.4 * float(cross_entropy(auxiliary, targets)))
