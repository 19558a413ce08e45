"""Losses that compare whole regions, class by class: Dice and Tversky."""

import torch
from jaxtyping import Float, Float32, Float64, Int64, Shaped
from torch import Tensor

from atrous.domain.classes import IGNORE_ID


def dice(
    logits: Float[Tensor, "batch classes height width"],
    targets: Int64[Tensor, "batch height width"],
) -> Shaped[Tensor, ""]:
    """1 - Dice coefficient of the probabilities (Milletari et al., 1606.04797, unsquared)."""
    return tversky(logits, targets, alpha=0.5, beta=0.5)


def tversky(
    logits: Float[Tensor, "batch classes height width"],
    targets: Int64[Tensor, "batch height width"],
    *,
    alpha: float,
    beta: float,
) -> Shaped[Tensor, ""]:
    """1 - TP / (TP + alpha FP + beta FN), a mean over the classes that occur in the batch.

    Salehi et al., 1706.05721. Probabilities are summed over the whole batch, ignored pixels left
    out; a class without a labelled pixel counts neither way.
    """
    probabilities = torch.softmax(logits.float(), dim=1)
    true, predicted, pixels = _region_sums(probabilities, targets)
    false_positive, false_negative = predicted - true, pixels - true
    # At least a millionth of a pixel: the score of a class that is wholly wrong has a gradient.
    union = (true + alpha * false_positive + beta * false_negative).clamp(min=1e-6)
    present = pixels > 0
    loss = ((1.0 - true / union) * present).sum() / present.sum().clamp(min=1)
    return loss.float()


def _region_sums(
    probabilities: Float32[Tensor, "batch classes height width"],
    targets: Int64[Tensor, "batch height width"],
) -> tuple[Float64[Tensor, " classes"], Float64[Tensor, " classes"], Float64[Tensor, " classes"]]:
    """By class, over labelled pixels: its probability where it is true, everywhere, its pixels.

    In float64: a sum over a million pixels of float32 loses the last ones.
    """
    classes = probabilities.shape[1]
    labelled = targets != IGNORE_ID
    ids = targets.masked_fill(~labelled, 0)
    of_truth = torch.gather(probabilities, 1, ids[:, None])[:, 0]
    zeros = torch.zeros(classes, dtype=torch.float64, device=targets.device)
    true = zeros.index_add(0, ids[labelled], of_truth[labelled].double())
    predicted = (probabilities * labelled[:, None]).sum(dim=(2, 3)).double().sum(dim=0)
    pixels = torch.bincount(ids[labelled], minlength=classes).double()
    return true, predicted, pixels
