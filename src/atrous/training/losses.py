"""What a training minimises: cross-entropy per labelled pixel, at the crop's full resolution."""

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
    loss = cross_entropy(logits, targets, recipe.label_smoothing)
    if auxiliary is not None:
        loss = loss + recipe.auxiliary_weight * cross_entropy(
            auxiliary, targets, recipe.label_smoothing
        )
    return loss


def cross_entropy(
    logits: Float[Tensor, "batch classes height width"],
    targets: Int64[Tensor, "batch height width"],
    label_smoothing: float = 0.0,
) -> Shaped[Tensor, ""]:
    """Mean over the pixels whose target is not 255; nought where there is no such pixel."""
    labelled = (targets != IGNORE_ID).sum().clamp(min=1)
    total = F.cross_entropy(
        logits.float(),
        targets,
        ignore_index=IGNORE_ID,
        label_smoothing=label_smoothing,
        reduction="sum",
    )
    return total / labelled
