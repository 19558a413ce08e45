"""DeepLabv3+ as segmentation_models_pytorch 0.5 and 0.6 define it, to import weights trained there.

It departs from arXiv 1802.02611, and so from `atrous.deeplab.network`, in five places:
1. the rates are (12, 24, 36) at output stride 16 too;
2. a separable 3x3 convolution follows ASPP;
3. the decoder has one 3x3 convolution instead of two;
4. no batch norm and ReLU stand between depthwise and pointwise convolution;
5. maps and logits are enlarged with align_corners=True.
Its encoders differ too: every convolution of a dilated stage gets the stage's rate, the first one
included. `tu-` encoders alone are dilated by timm.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
import torchvision
from jaxtyping import Float
from torch import Tensor, nn

from atrous.deeplab.aspp import ASPP_CHANNELS
from atrous.deeplab.backbone import LOW_LEVEL_STRIDE, create_features
from atrous.deeplab.checkpoint_files import bare_state_dict
from atrous.deeplab.convolution import SampleSizeBatchNorm, convolution
from atrous.deeplab.decoder import LOW_LEVEL_CHANNELS
from atrous.domain.errors import BadInput

RATES = (12, 24, 36)
RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
# The classifier's last layers, which segmentation never runs.
UNUSED = re.compile(r"encoder\.(conv_head|bn2|fc|classifier)\.|classification_head\.")


class Encoder(nn.Module):
    """A backbone that gives its stride-4 map and its last one."""

    def __init__(
        self, network: nn.Module, low_index: int, low_channels: int, last_channels: int
    ) -> None:
        super().__init__()
        self.network = network
        self.low_index = low_index
        self.low_channels = low_channels
        self.last_channels = last_channels

    def forward(
        self, x: Float[Tensor, "n 3 h w"]
    ) -> tuple[Float[Tensor, "n c4 h4 w4"], Float[Tensor, "n c hc wc"]]:
        """The two maps of a normalised batch."""
        maps = self.network(x)
        return maps[self.low_index], maps[-1]


class MobileNetV2(nn.Module):
    """torchvision's MobileNetV2 without its classifier: the maps at stride 4 and 32."""

    def __init__(self) -> None:
        super().__init__()
        self.features = torchvision.models.mobilenet_v2(weights=None).features

    def forward(self, x: Float[Tensor, "n 3 h w"]) -> list[Tensor]:
        """The two maps."""
        low = self.features[:4](x)
        return [low, self.features[4:](low)]


class SmpAspp(nn.Module):
    """Atrous spatial pyramid pooling with bare separable convolutions."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        pooling = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(in_channels, ASPP_CHANNELS, 1, bias=False),
            SampleSizeBatchNorm(ASPP_CHANNELS),
            nn.ReLU(),
        )
        self.convs = nn.ModuleList(
            [
                convolution(in_channels, ASPP_CHANNELS),
                *(bare_separable(in_channels, ASPP_CHANNELS, rate) for rate in RATES),
                pooling,
            ]
        )
        self.project = nn.Sequential(*convolution(5 * ASPP_CHANNELS, ASPP_CHANNELS), nn.Dropout())

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 256 h w"]:
        """The context of every place at five scales, mixed into 256 channels."""
        scales = [branch(x) for branch in self.convs]
        scales[-1] = scales[-1].expand(-1, -1, x.shape[2], x.shape[3])
        mixed: Tensor = self.project(torch.cat(scales, dim=1))
        return mixed


class SmpDecoder(nn.Module):
    """ASPP, enlarged to stride 4 and joined with the projected stride-4 map."""

    def __init__(self, low_channels: int, last_channels: int, output_stride: int) -> None:
        super().__init__()
        self.aspp = nn.Sequential(
            SmpAspp(last_channels), *bare_separable(ASPP_CHANNELS, ASPP_CHANNELS)
        )
        self.up = nn.Upsample(
            scale_factor=output_stride // LOW_LEVEL_STRIDE, mode="bilinear", align_corners=True
        )
        self.block1 = convolution(low_channels, LOW_LEVEL_CHANNELS)
        self.block2 = bare_separable(LOW_LEVEL_CHANNELS + ASPP_CHANNELS, ASPP_CHANNELS)

    def forward(
        self, low: Float[Tensor, "n c4 h4 w4"], last: Float[Tensor, "n c h w"]
    ) -> Float[Tensor, "n 256 h4 w4"]:
        """256 channels at stride 4."""
        context = self.up(self.aspp(last))
        fused: Tensor = self.block2(torch.cat([context, self.block1(low)], dim=1))
        return fused


class SmpDeepLabV3Plus(nn.Module):
    """The network of `segmentation_models_pytorch.DeepLabV3Plus`, output for output."""

    def __init__(self, encoder: Encoder, classes: int, *, output_stride: int) -> None:
        super().__init__()
        self.output_stride = output_stride
        self.encoder = encoder
        self.decoder = SmpDecoder(encoder.low_channels, encoder.last_channels, output_stride)
        self.segmentation_head = nn.Sequential(
            nn.Conv2d(ASPP_CHANNELS, classes, 1),
            nn.Upsample(scale_factor=LOW_LEVEL_STRIDE, mode="bilinear", align_corners=True),
        )

    def forward(self, x: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k h w"]:
        """Logits of a normalised batch, whose height and width are multiples of the output stride.

        Raises BadInput for another size.
        """
        height, width = x.shape[2:]
        if height % self.output_stride or width % self.output_stride:
            raise BadInput(
                f"this network takes heights and widths that are multiples of "
                f"{self.output_stride}, got {width}x{height}: resize or pad the photo"
            )
        logits: Tensor = self.segmentation_head(self.decoder(*self.encoder(x)))
        return logits


def import_smp_deeplabv3plus(
    checkpoint: Mapping[str, Any], encoder_name: str, classes: int, *, output_stride: int = 16
) -> SmpDeepLabV3Plus:
    """Build the network of `segmentation_models_pytorch.DeepLabV3Plus` and load its weights.

    checkpoint: its state dict, or a Lightning checkpoint around it. encoder_name: as there:
    resnet18/34/50/101/152, mobilenet_v2, timm-tf_efficientnet_lite0..4, timm-efficientnet-b0..b8,
    or tu-NAME for timm's NAME. output_stride: 16 unless trained otherwise; the weights do not tell.
    Raises BadInput for another encoder, or weights that do not fit it and `classes`.
    """
    if output_stride not in (8, 16):
        raise BadInput(f"output stride {output_stride} is not 8 or 16")
    state = {
        re.sub(r"^encoder\.(model\.)?", "encoder.network.", key): value
        for key, value in bare_state_dict(checkpoint).items()
        if not UNUSED.match(key)
    }
    network = SmpDeepLabV3Plus(
        create_encoder(encoder_name, output_stride), classes, output_stride=output_stride
    )
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise BadInput(
            f"these weights do not fit DeepLabV3Plus with encoder {encoder_name!r} and {classes} "
            f"classes: {error}"
        ) from error
    return network


def create_encoder(name: str, output_stride: int) -> Encoder:
    """Build one of segmentation_models_pytorch's encoders with random weights, dilated as there."""
    if name.startswith("tu-"):
        return timm_encoder(create_features(name.removeprefix("tu-"), output_stride))
    if name == "mobilenet_v2":
        network = MobileNetV2()
        dilate({16: network.features[7:14], 32: network.features[14:]}, output_stride)
        return Encoder(network, low_index=0, low_channels=24, last_channels=1280)
    if name in RESNETS:
        resnet = create_features(name, output_stride=32)
        dilate({16: resnet.layer3, 32: resnet.layer4}, output_stride)
        return timm_encoder(resnet)
    if name.startswith(("timm-efficientnet-b", "timm-tf_efficientnet_lite")):
        # Despite the name these pad like PyTorch and not like TensorFlow.
        timm_name = name.removeprefix("timm-").removeprefix("tf_").replace("-", "_")
        efficientnet = create_features(timm_name, output_stride=32)
        dilate({16: efficientnet.blocks[3:5], 32: efficientnet.blocks[5:]}, output_stride)
        return timm_encoder(efficientnet)
    raise BadInput(
        f"encoder {name!r} can't be imported; these can: {', '.join(RESNETS)}, mobilenet_v2, "
        "timm-tf_efficientnet_lite0..4, timm-efficientnet-b0..b8 and tu-NAME for timm's NAME"
    )


def timm_encoder(features: Any) -> Encoder:
    """Wrap timm's feature extractor."""
    info = features.feature_info
    low_index = info.reduction().index(LOW_LEVEL_STRIDE)
    return Encoder(features, low_index, info.channels()[low_index], info.channels()[-1])


def dilate(stages: dict[int, nn.Module], output_stride: int) -> None:
    """Replace the strides of every stage (by its stride) beyond `output_stride` with dilation."""
    for stride, stage in stages.items():
        if stride <= output_stride:
            continue
        rate = stride // output_stride
        for layer in stage.modules():
            if isinstance(layer, nn.Conv2d):
                padding = layer.kernel_size[0] // 2 * rate
                layer.stride, layer.dilation = (1, 1), (rate, rate)
                layer.padding = (padding, padding)


def bare_separable(in_channels: int, out_channels: int, dilation: int = 1) -> nn.Sequential:
    """Depthwise and pointwise convolution with nothing between, then batch norm and ReLU."""
    return nn.Sequential(
        nn.Sequential(
            nn.Conv2d(
                in_channels,
                in_channels,
                3,
                padding=dilation,
                dilation=dilation,
                groups=in_channels,
                bias=False,
            ),
            nn.Conv2d(in_channels, out_channels, 1, bias=False),
        ),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )
