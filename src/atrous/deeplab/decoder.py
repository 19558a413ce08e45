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

    lean: of the last map, see `Backbone`. The context is moved back by it, so that it lies on the
        stride-4 map at output stride 16 as it does at 8, and weights trained at 16 find at 8 what
        they learnt. 0 leaves it where it falls, as the weights of others expect it.
    """

    def __init__(
        self,
        channels: Channels,
        classes: int,
        *,
        output_stride: int,
        separable: bool,
        lean: int = 0,
    ) -> None:
        super().__init__()
        self.lean = lean
        self.aspp = Aspp(channels.last, RATES[output_stride], separable=separable, dropout=0.1)
        self.low_level = convolution(channels.low, LOW_LEVEL_CHANNELS)
        self.refine = nn.Sequential(
            convolution3x3(ASPP_CHANNELS + LOW_LEVEL_CHANNELS, ASPP_CHANNELS, separable=separable),
            convolution3x3(ASPP_CHANNELS, ASPP_CHANNELS, separable=separable),
        )
        self.classify = nn.Conv2d(ASPP_CHANNELS, classes, 1)

    def forward(self, maps: FeatureMaps) -> Float[Tensor, "n k h w"]:
        """Class scores at the size of the stride-4 map."""
        context = laid_on(maps.low, self.aspp(maps.last), self.lean)
        joined = torch.cat([context, self.low_level(maps.low)], dim=1)
        logits: Tensor = self.classify(self.refine(joined))
        return logits


def laid_on(
    low: Float[Tensor, "n c4 h4 w4"], context: Float[Tensor, "n c h w"], lean: int
) -> Float[Tensor, "n c h4 w4"]:
    """The context at the size of the stride-4 map, moved back by what its cells lean."""
    context = F.interpolate(context, size=low.shape[2:], mode="bilinear", align_corners=False)
    for axis in (2, 3):
        length = low.shape[axis]
        even_at_8 = (length + 1) // 2 % 2 == 0
        if lean and even_at_8:
            first, last = context.narrow(axis, 0, 1), context.narrow(axis, length - 1, 1)
            if lean > 0:
                context = torch.cat([first, context.narrow(axis, 0, length - 1)], axis)
            else:
                context = torch.cat([context.narrow(axis, 1, length - 1), last], axis)
    return context


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
