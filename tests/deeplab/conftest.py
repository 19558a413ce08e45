"""Networks whose every statistic matters, for comparisons with other implementations."""

from collections.abc import Callable

import pytest
import torch
from torch import nn


@pytest.fixture
def shaken() -> Callable[[nn.Module], nn.Module]:
    """Give a network's batch norms scales, shifts and statistics far from 1 and 0."""

    def shake(network: nn.Module) -> nn.Module:
        generator = torch.Generator().manual_seed(0)
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                assert layer.running_mean is not None
                assert layer.running_var is not None
                layer.running_mean.normal_(0, 0.2, generator=generator)
                layer.running_var.uniform_(0.5, 1.5, generator=generator)
                with torch.no_grad():
                    layer.weight.uniform_(0.6, 1.2, generator=generator)
                    layer.bias.normal_(0, 0.2, generator=generator)
        return network

    return shake
