"""Print the table of docs/backbones.md: parameters and GMACs of DeepLabv3+ by backbone.

python benchmarks/backbones.py
"""

import sys

from atrous.deeplab.cost import network_cost
from atrous.deeplab.network import build_network
from atrous.domain.geometry import Size

BACKBONES = (
    "tf_efficientnet_lite0",
    "tf_efficientnet_lite1",
    "tf_efficientnet_lite2",
    "mobilenetv3_large_100",
    "mobilenetv2_100",
    "resnet18",
    "resnet50",
    "resnet101",
)
SIZE = Size(height=512, width=512)
CLASSES = 21


def row(backbone: str) -> str:
    """One row: parameters in millions, GMACs at output stride 16 and 8, without separable."""
    coarse, fine, dense = (
        network_cost(build_network("deeplabv3plus", backbone, CLASSES, **options), SIZE)
        for options in ({}, {"output_stride": 8}, {"separable": False})
    )
    return (
        f"| {backbone} | {coarse.parameters / 1e6:.1f} | {coarse.multiply_adds / 1e9:.1f} "
        f"| {fine.multiply_adds / 1e9:.1f} | {dense.parameters / 1e6:.1f} "
        f"| {dense.multiply_adds / 1e9:.1f} |"
    )


def main() -> None:
    """Write the table to standard output."""
    sys.stdout.write(
        "| backbone | parameters, M | GMACs | GMACs at output stride 8 "
        "| not separable: parameters, M | GMACs |\n|---|---|---|---|---|---|\n"
    )
    for backbone in BACKBONES:
        sys.stdout.write(row(backbone) + "\n")


if __name__ == "__main__":
    main()
