"""Batch norms over the photos of all processes.

PyTorch's and timm's do that on GPUs alone. The one here is for processes on CPUs: slower, and the
same to rounding.
"""

from typing import Any

import torch
import torch.distributed
from jaxtyping import Float
from timm.layers.norm_act import convert_sync_batchnorm
from torch import Tensor, nn

from atrous.deeplab.network import DeepLab


class SharedBatchNorm(nn.BatchNorm2d):
    """A batch norm, of the backbone with the activation behind it, for processes on CPUs.

    Parameters, statistics and their names are those of the norm that it takes the place of.
    """

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum)
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean, self.running_var = norm.running_mean, norm.running_var
        self.num_batches_tracked = norm.num_batches_tracked
        self.after = nn.Sequential(*norm.children())  # timm's norms have drop and act inside
        self.train(norm.training)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Normalise `x` by mean and variance over all processes' photos."""
        if not self.training:
            return self.after(super().forward(x))  # type: ignore[no-any-return]
        mean, variance = self._statistics(x)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        shift = self.bias - mean * scale
        return self.after(x * scale[:, None, None] + shift[:, None, None])  # type: ignore[no-any-return]

    def _statistics(self, x: Tensor) -> tuple[Float[Tensor, " c"], Float[Tensor, " c"]]:
        """Mean and variance by channel, which the running ones follow.

        In float64: the variance is a small difference of large sums.
        """
        places = x.new_full((x.shape[1],), x.numel() / x.shape[1], dtype=torch.float64)
        sums = x.sum((0, 2, 3), dtype=torch.float64)
        squares = x.double().square().sum((0, 2, 3))
        count, total, total_of_squares = _Sum.apply(torch.stack([places, sums, squares]))
        mean = total / count
        variance = total_of_squares / count - mean.square()
        with torch.no_grad():
            momentum = self.momentum or 0.0
            unbiased = variance * count / (count - 1)
            self.running_mean.lerp_(mean.to(self.running_mean), momentum)  # type: ignore
            self.running_var.lerp_(unbiased.to(self.running_var), momentum)  # type: ignore
            self.num_batches_tracked.add_(1)  # type: ignore[union-attr]
        return mean.to(x.dtype), variance.to(x.dtype)


class _Sum(torch.autograd.Function):
    """The sum over all processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(context: Any, own: Tensor) -> Tensor:
        total = own.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, *outer: Any) -> Tensor:
        total: Tensor = outer[0].clone()
        torch.distributed.all_reduce(total)
        return total


def with_shared_norms(network: DeepLab, device: torch.device) -> DeepLab:
    """The network with every batch norm over the photos of all processes; names stay the same."""
    if device.type != "cpu":
        shared: DeepLab = convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return shared
    _share(network)
    return network


def _share(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, SharedBatchNorm(child))
        else:
            _share(child)
