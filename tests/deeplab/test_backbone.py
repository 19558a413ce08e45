import pytest
import torch

from atrous.deeplab.backbone import Backbone
from atrous.domain.errors import BadInput

LISTED = [
    "tf_efficientnet_lite0",
    "tf_efficientnet_lite1",
    "tf_efficientnet_lite2",
    "mobilenetv3_large_100",
    "mobilenetv2_100",
    "resnet18",
    "resnet50",
    "resnet101",
]


@pytest.mark.parametrize("output_stride", [8, 16])
@pytest.mark.parametrize("name", LISTED)
def test_strides_are_true(name: str, output_stride: int) -> None:
    backbone = Backbone(name, output_stride=output_stride).eval()
    with torch.no_grad():
        maps = backbone(torch.randn(1, 3, 64, 96))
    assert maps.low.shape == (1, backbone.channels.low, 16, 24)
    assert maps.last.shape == (
        1,
        backbone.channels.last,
        64 // output_stride,
        96 // output_stride,
    )
    assert maps.middle.shape[1] == backbone.channels.middle


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("vit_tiny_patch16_224", "can't be built with output stride 16"),
        ("vgg16", "can't be built with output stride 16"),
        ("resnet5", "did you mean one of .*resnet50"),
        ("no such network", "take tf_efficientnet_lite0"),
    ],
)
def test_unusable_backbone_is_named(name: str, words: str) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        Backbone(name, output_stride=16)
    assert repr(name) in str(caught.value)


def test_first_dilated_block_keeps_the_rate_of_the_stage_before() -> None:
    network = Backbone("resnet50", output_stride=8).network
    rates = [[block.conv2.dilation[0] for block in stage] for stage in stages_of(network)]
    assert rates == [[1, 2, 2, 2, 2, 2], [2, 4, 4]]


@pytest.mark.parametrize(("output_stride", "rates"), [(16, [2, 4, 8]), (8, [4, 8, 16])])
def test_multi_grid_multiplies_the_last_stage(output_stride: int, rates: list[int]) -> None:
    backbone = Backbone("resnet50", output_stride=output_stride, multi_grid=(1, 2, 4)).eval()
    assert [block.conv2.dilation[0] for block in backbone.network.layer4] == rates
    with torch.no_grad():
        last = backbone(torch.zeros(1, 3, 64, 64)).last
    assert last.shape[2:] == (64 // output_stride, 64 // output_stride)


@pytest.mark.parametrize("name", ["resnet18", "tf_efficientnet_lite0"])
def test_multi_grid_needs_three_bottlenecks(name: str) -> None:
    with pytest.raises(BadInput, match="take resnet50 or resnet101"):
        Backbone(name, output_stride=16, multi_grid=(1, 2, 4))


def stages_of(network: torch.nn.Module) -> list[torch.nn.Module]:
    return [network.get_submodule("layer3"), network.get_submodule("layer4")]


@pytest.mark.parametrize(
    ("name", "stride", "first_free"),
    [
        ("tf_efficientnet_lite0", 4, "blocks.2.0"),
        ("tf_efficientnet_lite0", 2, "blocks.1.0"),
        ("resnet18", 4, "layer2"),
        ("resnet18", 2, "layer1"),
    ],
)
def test_frozen_layers_stay_as_they_are(name: str, stride: int, first_free: str) -> None:
    """Weights and statistics of what comes before the stride do not move in training, others do."""
    backbone = Backbone(name, output_stride=16)
    count = backbone.freeze(stride)
    before = {key: value.clone() for key, value in backbone.network.state_dict().items()}
    backbone.train()
    optimizer = torch.optim.SGD(backbone.parameters(), lr=1.0)
    maps = backbone(torch.randn(2, 3, 64, 64))
    (maps.last.square().mean() + maps.low.square().mean()).backward()
    optimizer.step()
    after = backbone.network.state_dict()
    moved = [key for key in before if not torch.equal(before[key], after[key])]
    assert moved[0].startswith(first_free)
    frozen = [value for value in backbone.network.parameters() if not value.requires_grad]
    assert sum(value.numel() for value in frozen) == count > 0
    assert not backbone.eval().network.training


def test_nothing_to_freeze_is_refused() -> None:
    backbone = Backbone("resnet18", output_stride=16)
    with pytest.raises(BadInput, match=r"no map at stride 1 or below; its maps are at \[2, 4"):
        backbone.freeze(1)
