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
    found = 0
    for convolution in network.modules():
        if isinstance(convolution, nn.Conv2d) and is_dilated_depthwise(convolution):
            # A weight in channels-last memory would decide for its input.
            weight = convolution.weight.data
            convolution.weight.data = torch.empty(
                weight.shape, dtype=weight.dtype, device=weight.device
            ).copy_(weight)
            convolution.register_forward_pre_hook(_channels_first)
            found += 1
    return found


def is_dilated_depthwise(convolution: nn.Conv2d) -> bool:
    """Whether a convolution has a filter per channel and dilation above 1."""
    return convolution.groups == convolution.in_channels > 1 and max(convolution.dilation) > 1


def _channels_first(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    (x,) = inputs
    return (x.contiguous(),) if x.device.type == "cpu" else inputs
