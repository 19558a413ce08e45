"""Losses that are a mean over pixels: cross-entropy, its hard-example form, and focal loss."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Int64, Shaped
from torch import Tensor

from atrous.domain.classes import IGNORE_ID


def cross_entropy(
    logits: Float[Tensor, "batch classes height width"],
    targets: Int64[Tensor, "batch height width"],
    label_smoothing: float = 0.0,
    class_weights: Sequence[float] | None = None,
) -> Shaped[Tensor, ""]:
    """Mean over the pixels whose target is not 255; nought where there is no such pixel.

    class_weights: how much a pixel of each class counts; 1 on average over the training split,
        so that the loss of a batch is divided by its pixels, not by their weights.
    """
    labelled = (targets != IGNORE_ID).sum().clamp(min=1)
    weight = None if class_weights is None else logits.new_tensor(class_weights).float()
    total = F.cross_entropy(
        logits.float(),
        targets,
        weight=weight,
        ignore_index=IGNORE_ID,
        label_smoothing=label_smoothing,
        reduction="sum",
    )
    return total / labelled


def hard_cross_entropy(
    logits: Float[Tensor, "batch classes height width"],
    targets: Int64[Tensor, "batch height width"],
    label_smoothing: float = 0.0,
    class_weights: Sequence[float] | None = None,
    *,
    threshold: float,
    least: float,
) -> Shaped[Tensor, ""]:
    """Cross-entropy over the hard pixels alone (OHEM; Shrivastava et al., 1604.03540).

    Hard is a labelled pixel whose true class has a probability below `threshold`; where these are
    fewer than the share `least` of the labelled pixels, that share of the least probable ones.
    """
    with torch.no_grad():
        log_probability = _log_probability(logits.float(), targets)
        of_labelled = log_probability[targets != IGNORE_ID]
        if of_labelled.numel():
            kept = max(1, round(least * of_labelled.numel()))
            bound = max(of_labelled.kthvalue(kept).values.exp().item(), threshold)
            targets = targets.masked_fill(log_probability.exp() > bound, IGNORE_ID)
    return cross_entropy(logits, targets, label_smoothing, class_weights)


def focal(
    logits: Float[Tensor, "batch classes height width"],
    targets: Int64[Tensor, "batch height width"],
    class_weights: Sequence[float] | None = None,
    *,
    gamma: float,
) -> Shaped[Tensor, ""]:
    """Mean of -(1 - p)^gamma log p, p the softmax probability of the true class.

    Lin et al., 1708.02002, section 3.2, with a softmax instead of one sigmoid per class. As the
    cross-entropy it is divided by the labelled pixels, not by their weights.
    """
    log_p = _log_probability(logits.float(), targets)
    # expm1 keeps the small distance to 1 of pixels that are nearly right.
    missing = (-torch.expm1(log_p)).clamp(min=torch.finfo(torch.float32).tiny)
    labelled = targets != IGNORE_ID
    losses = -(missing**gamma) * log_p * labelled
    if class_weights is not None:
        losses = losses * logits.new_tensor(class_weights).float()[targets * labelled]
    return losses.sum() / labelled.sum().clamp(min=1)


def _log_probability(
    logits: Float32[Tensor, "batch classes height width"],
    targets: Int64[Tensor, "batch height width"],
) -> Float32[Tensor, "batch height width"]:
    """Log-probability of each pixel's true class; of class 0 where the pixel is ignored."""
    index = targets.masked_fill(targets == IGNORE_ID, 0)[:, None]
    return torch.gather(F.log_softmax(logits, dim=1), 1, index)[:, 0]
