import pytest
import torch
from torch import nn

from atrous.deeplab.backbone import Channels, FeatureMaps
from atrous.deeplab.decoder import AuxiliaryHead, DeepLabV3Head, DeepLabV3PlusHead

CHANNELS = Channels(low=24, middle=112, last=32)
MAPS = FeatureMaps(
    low=torch.zeros(1, 24, 17, 25), middle=torch.zeros(1, 112, 5, 7), last=torch.zeros(1, 32, 5, 7)
)


def test_deeplabv3_scores_the_last_map() -> None:
    head = DeepLabV3Head(CHANNELS, 4, output_stride=16, separable=True).eval()
    assert head(MAPS).shape == (1, 4, 5, 7)


def test_deeplabv3plus_scores_the_low_level_map() -> None:
    head = DeepLabV3PlusHead(CHANNELS, 4, output_stride=16, separable=True).eval()
    assert head(MAPS).shape == (1, 4, 17, 25)


def test_deeplabv3plus_is_built_as_in_the_paper() -> None:
    head = DeepLabV3PlusHead(CHANNELS, 4, output_stride=16, separable=False)
    assert [(c.in_channels, c.out_channels, c.kernel_size[0]) for c in convolutions(head)] == [
        (32, 256, 1),
        *[(32, 256, 3)] * 3,
        (32, 256, 1),  # image pooling
        (5 * 256, 256, 1),
        (24, 48, 1),  # low-level projection
        (48 + 256, 256, 3),
        (256, 256, 3),
        (256, 4, 1),
    ]


@pytest.mark.parametrize(("head", "share"), [(DeepLabV3Head, 0.5), (DeepLabV3PlusHead, 0.1)])
def test_dropout(head: type[DeepLabV3Head] | type[DeepLabV3PlusHead], share: float) -> None:
    assert head(CHANNELS, 4, output_stride=16, separable=True).aspp.dropout.p == share


def test_auxiliary_head_scores_the_middle_map() -> None:
    head = AuxiliaryHead(CHANNELS, 4).eval()
    assert head(MAPS).shape == (1, 4, 5, 7)
    assert [c.in_channels for c in convolutions(head)] == [112, 28]


def convolutions(head: nn.Module) -> list[nn.Conv2d]:
    return [layer for layer in head.modules() if isinstance(layer, nn.Conv2d)]
