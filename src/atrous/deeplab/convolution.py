"""Convolutions as the DeepLab papers stack them: convolution, batch norm, ReLU."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class SampleSizeBatchNorm(nn.BatchNorm2d):
    """Batch norm that falls back on its running statistics where the batch has one value a channel.

    ASPP's image pooling leaves one value per photo and channel. With one photo in the batch its
    variance is 0 and PyTorch raises an error in training mode; here that step uses (and leaves
    untouched) the running statistics, as in evaluation. Larger batches are ordinary batch norm.
    """

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Normalise `x`."""
        if self.training and x.shape[0] * x.shape[2] * x.shape[3] == 1:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
        return super().forward(x)


def convolution(
    in_channels: int, out_channels: int, kernel_size: int = 1, *, dilation: int = 1, groups: int = 1
) -> nn.Sequential:
    """Convolution at stride 1 that keeps the size, then batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            padding=dilation * (kernel_size // 2),
            dilation=dilation,
            groups=groups,
            bias=False,
        ),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),  # of a batch norm only the input is kept for gradients
    )


def convolution3x3(
    in_channels: int, out_channels: int, *, dilation: int = 1, separable: bool
) -> nn.Sequential:
    """A 3x3 convolution, or the depthwise-separable one of DeepLabv3+ (arXiv 1802.02611).

    Batch norm and ReLU follow the depthwise as well as the pointwise convolution, as in section
    3.2 of that paper.
    """
    if not separable:
        return convolution(in_channels, out_channels, 3, dilation=dilation)
    return nn.Sequential(
        convolution(in_channels, in_channels, 3, dilation=dilation, groups=in_channels),
        convolution(in_channels, out_channels),
    )
