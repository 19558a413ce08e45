"""Make a package of seeded random weights: speed does not ask what a network has learnt.

cd benchmarks && python -m serving.random_packages BACKBONE CLASSES FOLDER [SIDE]
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from atrous.deeplab.cost import network_cost
from atrous.deeplab.network import DeepLab, build_network
from atrous.domain.classes import ClassTable
from atrous.domain.geometry import Size
from atrous.domain.recipes import PreprocessRecipe, TrainingRecipe
from atrous.export.package import export_package
from atrous.images.preprocess import preprocess
from serving.cases import INPUT_SIZE
from serving.photos import draw_photo

SEED = 0
CALIBRATION_PHOTOS = 2


class DrawnPhoto:
    """A photo for the comparison that every export makes."""

    def __init__(self, seed: int) -> None:
        """Remember the seed."""
        self._seed = seed

    def read_image(self) -> np.ndarray:
        """RGB, 0..255."""
        return draw_photo(Size(height=480, width=640), self._seed)


def make_package(backbone: str, classes: int, folder: Path, size: Size = INPUT_SIZE) -> None:
    """Write the package of one network to `folder`, which must not exist yet."""
    torch.manual_seed(SEED)
    network = build_network("deeplabv3plus", backbone, classes)
    recipe = PreprocessRecipe(size=size)
    photos = [DrawnPhoto(seed) for seed in range(CALIBRATION_PHOTOS)]
    calibrate(network, [preprocess(photo.read_image(), recipe)[0] for photo in photos])
    names = ("background", *(f"class {index}" for index in range(1, classes)))
    export_package(
        network,
        ClassTable(names),
        TrainingRecipe(preprocess=recipe, crop=size, backbone=backbone, pretrained=False),
        photos[:1],
        folder,
        {
            "weights": "random, for measuring speed",
            "seed": SEED,
            "multiply_adds": network_cost(network, size).multiply_adds,
        },
    )


def calibrate(network: DeepLab, batches: list[np.ndarray]) -> None:
    """Give batch norm the statistics of photos: else all pixels get one class, or none a number."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the plain mean over what follows
    network.train()
    with torch.no_grad():
        network(torch.from_numpy(np.concatenate(batches)))
    network.eval()


if __name__ == "__main__":
    side = [Size(int(text), int(text)) for text in sys.argv[4:5]]
    make_package(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), *side)
