"""Keeps training clear of a fault in PyTorch: wrong gradients of dilated depthwise convolutions.

On CPUs, in bf16 and channels-last memory, the weight gradient of a depthwise convolution with
dilation above 1 reads memory that nobody wrote (torch 2.15, by oneDNN; the test of this module
shows it by filling freed memory). Mostly that memory holds small numbers and the fault stays
unseen; now and then the loss becomes nan. Channels-first memory takes another path, which is right.
"""

import torch
from torch import Tensor, nn


def avoid_faulty_gradients(network: nn.Module) -> int:
    """Have the dilated depthwise convolutions of a network run channels-first on CPUs.

    Call it once, after the network's memory format is set. Gives how many there are.
    """
    found = [module for module in network.modules() if is_dilated_depthwise(module)]
    for convolution in found:
        weight = convolution.weight
        # A weight in channels-last memory would decide for its input.
        weight.data = torch.empty(weight.shape, dtype=weight.dtype, device=weight.device).copy_(
            weight.data
        )
        convolution.register_forward_pre_hook(_channels_first)
    return len(found)


def is_dilated_depthwise(module: nn.Module) -> bool:
    """Whether a module is a convolution with a filter per channel and dilation above 1."""
    return (
        isinstance(module, nn.Conv2d)
        and module.groups == module.in_channels > 1
        and max(int(step) for step in module.dilation) > 1
    )


def _channels_first(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    (x,) = inputs
    return (x.contiguous(),) if x.device.type == "cpu" else inputs
