"""From the backbone's maps to class scores: the heads of DeepLabv3, DeepLabv3+ and auxiliary."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from atrous.deeplab.aspp import ASPP_CHANNELS, RATES, Aspp
from atrous.deeplab.backbone import Channels, FeatureMaps
from atrous.deeplab.convolution import convolution, convolution3x3

LOW_LEVEL_CHANNELS = 48  # the best of 8 to 64 in table 1 of arXiv 1802.02611


class DeepLabV3Head(nn.Module):
    """ASPP, one 3x3 convolution, class scores at the output stride (as torchvision's head)."""

    def __init__(
        self, channels: Channels, classes: int, *, output_stride: int, separable: bool
    ) -> None:
        super().__init__()
        self.aspp = Aspp(channels.last, RATES[output_stride], separable=separable, dropout=0.5)
        self.refine = convolution3x3(ASPP_CHANNELS, ASPP_CHANNELS, separable=separable)
        self.classify = nn.Conv2d(ASPP_CHANNELS, classes, 1)

    def forward(self, maps: FeatureMaps) -> Float[Tensor, "n k h w"]:
        """Class scores at the size of the last map."""
        logits: Tensor = self.classify(self.refine(self.aspp(maps.last)))
        return logits


class DeepLabV3PlusHead(nn.Module):
    """ASPP, up-sampled and joined with the projected stride-4 map, two 3x3 convolutions.

    arXiv 1802.02611, section 3.1 and table 2; dropout 0.1 after ASPP as in its published code.
    """

    def __init__(
        self, channels: Channels, classes: int, *, output_stride: int, separable: bool
    ) -> None:
        super().__init__()
        self.aspp = Aspp(channels.last, RATES[output_stride], separable=separable, dropout=0.1)
        self.low_level = convolution(channels.low, LOW_LEVEL_CHANNELS)
        self.refine = nn.Sequential(
            convolution3x3(ASPP_CHANNELS + LOW_LEVEL_CHANNELS, ASPP_CHANNELS, separable=separable),
            convolution3x3(ASPP_CHANNELS, ASPP_CHANNELS, separable=separable),
        )
        self.classify = nn.Conv2d(ASPP_CHANNELS, classes, 1)

    def forward(self, maps: FeatureMaps) -> Float[Tensor, "n k h w"]:
        """Class scores at the size of the stride-4 map."""
        context = F.interpolate(
            self.aspp(maps.last), size=maps.low.shape[2:], mode="bilinear", align_corners=False
        )
        joined = torch.cat([context, self.low_level(maps.low)], dim=1)
        logits: Tensor = self.classify(self.refine(joined))
        return logits


class AuxiliaryHead(nn.Module):
    """A small head on the last map but one; its loss helps the early layers (as torchvision's)."""

    def __init__(self, channels: Channels, classes: int) -> None:
        super().__init__()
        hidden = max(1, channels.middle // 4)
        self.refine = convolution(channels.middle, hidden, 3)
        self.dropout = nn.Dropout(0.1)
        self.classify = nn.Conv2d(hidden, classes, 1)

    def forward(self, maps: FeatureMaps) -> Float[Tensor, "n k h w"]:
        """Class scores at the size of the middle map."""
        logits: Tensor = self.classify(self.dropout(self.refine(maps.middle)))
        return logits
