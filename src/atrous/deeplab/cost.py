"""What a network costs: its parameters, and the multiplications of one forward pass."""

import copy
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from atrous.domain.geometry import Size


@dataclass(frozen=True)
class NetworkCost:
    """The cost of a network for one photo."""

    parameters: int
    multiply_adds: int  # of convolutions and matrix products; norms and enlarging are left out


def network_cost(network: nn.Module, size: Size) -> NetworkCost:
    """Count the cost in evaluation mode at one input size, without computing anything.

    >>> network_cost(nn.Conv2d(3, 8, 3, padding=1), Size(height=10, width=20))
    NetworkCost(parameters=224, multiply_adds=43200)
    """
    shapes = copy.deepcopy(network).to("meta").eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        shapes(torch.empty(1, 3, size.height, size.width, device="meta"))
    return NetworkCost(
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        multiply_adds=counter.get_total_flops() // 2,
    )
