"""What a training minimises: cross-entropy per labelled pixel, at the crop's full resolution."""

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from atrous.domain.classes import IGNORE_ID
from atrous.domain.recipes import TrainingRecipe


def loss_of(
    output: Float[Tensor, "batch classes height width"] | tuple[Tensor, Tensor],
    targets: Int64[Tensor, "batch height width"],
    recipe: TrainingRecipe,
) -> Float[Tensor, ""]:
    """The loss of a network's output, with that of an auxiliary head where there is one."""
    logits, auxiliary = output if isinstance(output, tuple) else (output, None)
    choices = (recipe.label_smoothing, recipe.class_weights)
    loss = cross_entropy(logits, targets, *choices)
    if auxiliary is not None:
        loss = loss + recipe.auxiliary_weight * cross_entropy(auxiliary, targets, *choices)
    return loss


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
