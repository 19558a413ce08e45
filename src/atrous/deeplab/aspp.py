"""Atrous spatial pyramid pooling: parallel convolutions at several rates and image pooling."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from atrous.deeplab.convolution import SampleSizeBatchNorm, convolution, convolution3x3

ASPP_CHANNELS = 256
RATES = {16: (6, 12, 18), 8: (12, 24, 36)}  # by output stride: arXiv 1706.05587, section 3.3


class ImagePooling(nn.Module):
    """The mean over the whole map, projected and spread over the map again."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.project = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 1, bias=False),
            SampleSizeBatchNorm(out_channels),
            nn.ReLU(),
        )

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k h w"]:
        """One value per photo and channel, at every place."""
        pooled: Tensor = self.project(F.adaptive_avg_pool2d(x, 1))
        # Bilinear up-sampling of a single value is that value.
        return pooled.expand(-1, -1, x.shape[2], x.shape[3])


class Aspp(nn.Module):
    """Atrous spatial pyramid pooling of DeepLabv3 (arXiv 1706.05587, section 3.3)."""

    def __init__(
        self, in_channels: int, rates: tuple[int, int, int], *, separable: bool, dropout: float
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            [
                convolution(in_channels, ASPP_CHANNELS),
                *(
                    convolution3x3(in_channels, ASPP_CHANNELS, dilation=rate, separable=separable)
                    for rate in rates
                ),
                ImagePooling(in_channels, ASPP_CHANNELS),
            ]
        )
        self.project = convolution(len(self.branches) * ASPP_CHANNELS, ASPP_CHANNELS)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 256 h w"]:
        """The context of every place at five scales, mixed into 256 channels."""
        scales = torch.cat([branch(x) for branch in self.branches], dim=1)
        mixed: Tensor = self.dropout(self.project(scales))
        return mixed
