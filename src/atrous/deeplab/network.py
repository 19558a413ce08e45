"""DeepLabv3 and DeepLabv3+: a backbone, a head, and logits at the photo's size."""

from dataclasses import dataclass, replace
from typing import get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32
from torch import Tensor, nn

from atrous.deeplab.backbone import Backbone
from atrous.deeplab.decoder import AuxiliaryHead, DeepLabV3Head, DeepLabV3PlusHead
from atrous.deeplab.enlargement import enlarge_at
from atrous.domain.errors import BadInput
from atrous.domain.geometry import Size
from atrous.domain.recipes import Architecture

ARCHITECTURES: tuple[Architecture, ...] = get_args(Architecture)
# By matrices instead of interpolate, whose gradient takes a CPU several times as long.
ALL_PIXELS = (slice(None), slice(None))


@dataclass(frozen=True)
class NetworkConfig:
    """All that it takes to build a network anew; saved beside its weights."""

    architecture: Architecture
    backbone: str  # a timm name
    classes: int  # channels of the logits, background included
    output_stride: int = 16  # 8 or 16: the photo's size over that of the last map
    separable: bool = True  # depthwise-separable 3x3 convolutions in ASPP and decoder
    auxiliary: bool = False  # a second head on the last map but one, for training
    multi_grid: tuple[int, int, int] | None = None  # rate factors of the last stage, ResNets only
    aligned: bool = False  # of DeepLabv3+: the context lies alike at both output strides


class DeepLab(nn.Module):
    """A network for semantic segmentation; `config` says how it was built."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(
            config.backbone, output_stride=config.output_stride, multi_grid=config.multi_grid
        )
        self.head = _head(config, self.backbone)
        self.auxiliary_head = (
            AuxiliaryHead(self.backbone.channels, config.classes) if config.auxiliary else None
        )

    def forward(
        self, x: Float[Tensor, "n 3 h w"], pixels: tuple[slice, slice] | None = None
    ) -> Float32[Tensor, "n k h2 w2"] | tuple[Float32[Tensor, "n k h2 w2"], ...]:
        """Logits of a normalised batch at its own size (bilinear, align_corners=False).

        pixels: rows and columns to give logits of, where a loss does not need all.
        In training mode a network with an auxiliary head gives (logits, auxiliary logits).
        """
        size = Size(x.shape[2], x.shape[3])
        maps = self.backbone(x)
        quicker = self.training and x.device.type == "cpu" and not torch.compiler.is_compiling()
        if quicker and pixels is None:
            pixels = ALL_PIXELS
        logits = enlarge(self.head(maps), size, pixels)
        if self.training and self.auxiliary_head is not None:
            return logits, enlarge(self.auxiliary_head(maps), size, pixels)
        return logits


def _head(config: NetworkConfig, backbone: Backbone) -> DeepLabV3Head | DeepLabV3PlusHead:
    channels, classes, stride = backbone.channels, config.classes, config.output_stride
    if config.architecture == "deeplabv3":
        return DeepLabV3Head(channels, classes, output_stride=stride, separable=config.separable)
    return DeepLabV3PlusHead(
        channels,
        classes,
        output_stride=stride,
        separable=config.separable,
        lean=backbone.lean if config.aligned else 0,
    )


def enlarge(
    logits: Float[Tensor, "n k h w"], size: Size, pixels: tuple[slice, slice] | None
) -> Float32[Tensor, "n k h2 w2"]:
    """Logits at the photo's size, or at some of its pixels, in float32 also under autocast."""
    if pixels is not None:
        return enlarge_at(logits, size, pixels)
    return F.interpolate(
        logits.float(), size=(size.height, size.width), mode="bilinear", align_corners=False
    )


def build_network(
    architecture: Architecture,
    backbone: str,
    classes: int,
    *,
    output_stride: int = 16,
    separable: bool = True,
    auxiliary: bool = False,
    multi_grid: tuple[int, int, int] | None = None,
    aligned: bool = False,
) -> DeepLab:
    """Build a network with random weights.

    backbone: a timm name, as "tf_efficientnet_lite0". classes: channels of the logits.
    Raises BadInput for a backbone that can't have this output stride or multi-grid.
    """
    return network_from(
        NetworkConfig(
            architecture,
            backbone,
            classes,
            output_stride,
            separable,
            auxiliary,
            multi_grid,
            aligned,
        )
    )


def network_from(config: NetworkConfig) -> DeepLab:
    """Build the network of a config with random weights; BadInput for values that make no sense."""
    if config.architecture not in ARCHITECTURES:
        raise BadInput(f"architecture {config.architecture!r} is not one of {ARCHITECTURES}")
    if config.output_stride not in (8, 16):
        raise BadInput(f"output stride {config.output_stride} is not 8 or 16")
    if config.classes < 1:
        raise BadInput(f"{config.classes} classes: a network needs at least 1")
    return DeepLab(config)


def with_output_stride(network: DeepLab, output_stride: int) -> DeepLab:
    """A copy with the same weights whose last map is at another output stride (8 or 16).

    The keys of the state dict stay the same. Device, precision and training mode are kept, and
    the state of the random number generators is left as it was.
    """
    with torch.random.fork_rng(devices=[]):  # networks are built on the CPU
        copy = network_from(replace(network.config, output_stride=output_stride))
    parameter = next(network.parameters())
    copy.to(device=parameter.device, dtype=parameter.dtype)
    copy.load_state_dict(network.state_dict())
    return copy.train(network.training)


def parameter_groups(network: DeepLab) -> dict[str, list[nn.Parameter]]:
    """The parameters of "backbone" and "head" (with the auxiliary head), for two learning rates."""
    backbone = list(network.backbone.parameters())
    known = {id(parameter) for parameter in backbone}
    head = [parameter for parameter in network.parameters() if id(parameter) not in known]
    return {"backbone": backbone, "head": head}
