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

    lean: of the last map, see `Backbone`. The stride-4 map is moved to where the context lies by
        it, so that they meet at output stride 16 as they do at 8, and weights trained at 16 find
        at 8 what they learnt. 0 leaves it where it falls, as the weights of others expect it.
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
        context = F.interpolate(
            self.aspp(maps.last), size=maps.low.shape[2:], mode="bilinear", align_corners=False
        )
        # Not the context is moved, which has most channels, but what it meets, and the scores back.
        rows, columns = cells_beside(maps.low, self.lean)
        low = moved(self.low_level(maps.low), -rows, -columns)
        logits: Tensor = self.classify(self.refine(torch.cat([context, low], dim=1)))
        return moved(logits, rows, columns)


def cells_beside(low: Float[Tensor, "n c4 h4 w4"], lean: int) -> tuple[int, int]:
    """How many rows and columns of the stride-4 map a context that leans lies beside it."""
    # Where the map at stride 8 has an odd length, the context leans at its ends, to both sides.
    rows, columns = ((length + 1) // 2 % 2 == 0 for length in low.shape[2:])
    return lean * rows, lean * columns


def moved(x: Float[Tensor, "n c h w"], rows: int, columns: int) -> Float[Tensor, "n c h w"]:
    """The map moved down and to the right by -1, 0 or 1 cells; its edge is repeated."""
    for axis, step in ((2, rows), (3, columns)):
        length = x.shape[axis]
        if step > 0:
            x = torch.cat([x.narrow(axis, 0, 1), x.narrow(axis, 0, length - 1)], axis)
        elif step < 0:
            x = torch.cat([x.narrow(axis, 1, length - 1), x.narrow(axis, length - 1, 1)], axis)
    return x


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
