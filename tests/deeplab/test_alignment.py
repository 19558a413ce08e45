"""Where the context looks at the photo: by the middle of a cell's receptive field."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from atrous.deeplab.backbone import Backbone, Channels, FeatureMaps
from atrous.deeplab.decoder import DeepLabV3PlusHead, cells_beside, moved
from atrous.deeplab.network import build_network, with_output_stride

LEANING = {"tf_efficientnet_lite0": 1, "mobilenetv2_100": -1}


@pytest.mark.parametrize(
    ("name", "lean"), [*LEANING.items(), ("resnet50", -1), ("resnet50d", -1), ("convnext_atto", 0)]
)
def test_lean_of_backbones(name: str, lean: int) -> None:
    assert Backbone(name, output_stride=16).lean == lean
    assert Backbone(name, output_stride=8).lean == 0


@pytest.mark.parametrize("name", LEANING)
@pytest.mark.parametrize("height", [384, 376])  # 48 and 47 cells at stride 8
def test_the_context_lies_alike_at_both_output_strides(name: str, height: int) -> None:
    leaning, fine = Backbone(name, output_stride=16), Backbone(name, output_stride=8)
    rows, columns = middle_seen(leaning, height, leaning.lean)
    rows_8, columns_8 = middle_seen(fine, height, fine.lean)
    assert rows == pytest.approx(rows_8, abs=1)
    assert columns == pytest.approx(columns_8, abs=1)
    # Left where it falls it lies four pixels beside it, where the map at stride 8 is even.
    rows, columns = middle_seen(leaning, height, 0)
    assert columns - columns_8 == pytest.approx(4 * LEANING[name], abs=1)
    assert rows - rows_8 == pytest.approx(4 * LEANING[name] if height == 384 else 0, abs=1)


def test_a_network_is_aligned_where_it_is_asked_for() -> None:
    network = build_network("deeplabv3plus", "tf_efficientnet_lite0", 3, aligned=True)
    assert network.head.lean == 1
    finer = with_output_stride(network, 8)
    assert finer.config.aligned
    assert finer.head.lean == 0
    assert with_output_stride(finer, 16).head.lean == 1
    assert build_network("deeplabv3plus", "tf_efficientnet_lite0", 3).head.lean == 0


@pytest.mark.parametrize("lean", [-1, 1])
def test_the_head_moves_the_context(lean: int) -> None:
    """Away from the edges its scores are those of a head whose context was moved instead."""
    torch.manual_seed(0)
    channels = Channels(low=6, middle=6, last=8)
    head = DeepLabV3PlusHead(channels, 3, output_stride=16, separable=True, lean=lean).eval()
    last, low = torch.randn(1, 8, 6, 7), torch.randn(1, 6, 24, 26)  # at stride 8: 12 and 13 cells
    with torch.no_grad():
        scores = head(FeatureMaps(low=low, middle=last, last=last))
        context = F.interpolate(head.aspp(last), size=(24, 26), mode="bilinear")
        expected = [
            head.classify(head.refine(torch.cat([moved(context, rows, 0), head.low_level(low)], 1)))
            for rows in (lean, 0)
        ]
    met, as_it_falls = ((scores - other)[:, :, 4:-4].abs().max().item() for other in expected)
    assert met < 1e-6
    assert as_it_falls > 1e-4


def test_moved_repeats_the_edge() -> None:
    x = torch.arange(4.0).reshape(1, 1, 2, 2)
    assert moved(x, 1, 0).tolist() == [[[[0, 1], [0, 1]]]]
    assert moved(x, 0, -1).tolist() == [[[[1, 1], [3, 3]]]]
    assert moved(x, 0, 0) is x


def middle_seen(backbone: Backbone, height: int, lean: int) -> tuple[float, float]:
    """Where the context looks at the photo that meets the middle cell of the stride-4 map."""
    backbone.double().eval()
    for layer in backbone.modules():  # each layer a mean: the gradient is the receptive field
        if isinstance(layer, nn.Conv2d):
            nn.init.constant_(layer.weight, 1 / layer.weight[0].numel())
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_parameters()
    photo = torch.full((1, 3, height, 448), 1e-4, dtype=torch.float64, requires_grad=True)
    maps = backbone(photo)
    size = maps.low.shape[2:]
    context = F.interpolate(maps.last, size=size, mode="bilinear", align_corners=False)
    beside = cells_beside(maps.low, lean)
    row, column = (length // 2 - step for length, step in zip(size, beside, strict=True))
    context[0, :, row, column].sum().backward()
    assert photo.grad is not None
    field = photo.grad.sum((0, 1))
    rows, columns = (field.sum(axis) / field.sum() for axis in (1, 0))
    return tuple(float((part * torch.arange(len(part))).sum()) for part in (rows, columns))
