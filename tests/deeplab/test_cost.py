from pathlib import Path

import pytest
from torch import nn

from atrous.deeplab.cost import NetworkCost, network_cost
from atrous.deeplab.network import build_network
from atrous.domain.geometry import Size

DOCUMENT = Path(__file__).parents[2] / "docs" / "backbones.md"


def test_counts_by_hand() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False),
    ).train()
    cost = network_cost(network, Size(height=10, width=20))
    assert cost == NetworkCost(
        parameters=3 * 8 * 9 + 2 * 8 + 8 * 9, multiply_adds=5 * 10 * (3 * 8 * 9 + 8 * 9)
    )
    assert network.training
    assert next(network.parameters()).device.type == "cpu"


@pytest.mark.parametrize("backbone", ["tf_efficientnet_lite0", "resnet18"])
def test_document_tells_the_truth(backbone: str) -> None:
    cost = network_cost(build_network("deeplabv3plus", backbone, 21), Size(512, 512))
    start = f"| {backbone} | {cost.parameters / 1e6:.1f} | {cost.multiply_adds / 1e9:.1f} |"
    assert start in DOCUMENT.read_text()
