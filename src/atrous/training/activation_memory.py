"""How much memory a training step takes, found without computing anything."""

import copy
from functools import lru_cache

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from atrous.deeplab.network import NetworkConfig, network_from
from atrous.domain.recipes import TrainingRecipe

PROBED_SIDE = 128  # pixels; what is kept grows with the pixels
# Over what is kept for the backward pass: gradients on the way, logits at full size, workspaces.
STEP_OVER_KEPT = 1.5
BYTES_PER_PARAMETER = 20  # float32: weight, gradient, two moments, averaged copy


def step_bytes(recipe: TrainingRecipe, classes: int, photos: int) -> int:
    """About the memory of a step over so many photos at the recipe's crop, in float32."""
    config = NetworkConfig(
        recipe.architecture,
        recipe.backbone,
        classes,
        recipe.output_stride,
        recipe.separable,
        recipe.auxiliary_weight > 0,
    )
    per_pixel, parameters = _kept(config)
    kept = per_pixel * recipe.crop.area * photos
    return int(STEP_OVER_KEPT * kept + BYTES_PER_PARAMETER * parameters)


@lru_cache(maxsize=8)
def _kept(config: NetworkConfig) -> tuple[float, int]:
    """Bytes that one pixel of a photo leaves for the backward pass, and the parameters."""
    with torch.random.fork_rng(devices=[]):  # networks are built on the CPU
        network = copy.deepcopy(network_from(config)).to("meta").train()
    kept: dict[int, Tensor] = {}  # by storage; held, so that no number is given twice

    def note(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, torch.nn.Parameter):
            kept.setdefault(tensor.untyped_storage()._cdata, tensor)
        return tensor

    photos = torch.empty(2, 3, PROBED_SIDE, PROBED_SIDE, device="meta")
    with saved_tensors_hooks(note, lambda tensor: tensor):
        network(photos)
    size_bytes = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    count = sum(parameter.numel() for parameter in network.parameters())
    return size_bytes / (2 * PROBED_SIDE**2), count
