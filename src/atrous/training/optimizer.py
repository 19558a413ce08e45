"""The optimizer: AdamW or SGD with a slower backbone and no decay on norms and biases."""

import torch

from atrous.deeplab.network import DeepLab, parameter_groups
from atrous.domain.recipes import TrainingRecipe


def make_optimizer(network: DeepLab, recipe: TrainingRecipe) -> torch.optim.Optimizer:
    """Four groups: backbone and head, each with and without weight decay.

    A group's `base_rate` is what the schedule's factor is applied to. Tensors of one dimension
    (biases, scales and shifts of norms) are not decayed (Goyal et al., 1706.02677, section 5.3).
    """
    groups = []
    for part, parameters in parameter_groups(network).items():
        rate = recipe.learning_rate * (recipe.backbone_rate if part == "backbone" else 1.0)
        for decayed in (True, False):
            chosen = [parameter for parameter in parameters if (parameter.ndim > 1) == decayed]
            decay = recipe.weight_decay if decayed else 0.0
            groups.append({"params": chosen, "lr": rate, "base_rate": rate, "weight_decay": decay})
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.nesterov
        )
    on_cpu = next(network.parameters()).device.type == "cpu"
    # None leaves GPUs to PyTorch's own choice, which is quick there.
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True if on_cpu else None)


def set_rates(optimizer: torch.optim.Optimizer, factor: float) -> float:
    """Apply the schedule's factor to every group; gives the highest rate, which is the head's."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_rate"] * factor
    return max(float(group["lr"]) for group in optimizer.param_groups)


def clip_gradients(network: DeepLab, recipe: TrainingRecipe) -> None:
    """Shorten the gradient over all weights to `recipe.gradient_clip`, where it is longer."""
    if recipe.gradient_clip:
        torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.gradient_clip)
