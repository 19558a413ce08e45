"""Weights that others trained with PyTorch, as a model package that can be served."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from torch import nn

from atrous.deeplab.checkpoint_files import read_state_dict
from atrous.deeplab.smp_weights import import_smp_deeplabv3plus
from atrous.deeplab.torchvision_weights import import_torchvision
from atrous.domain.classes import BACKGROUND, ClassTable
from atrous.domain.errors import BadInput
from atrous.domain.geometry import Size
from atrous.domain.recipes import PreprocessRecipe
from atrous.export.onnx_file import export_onnx
from atrous.export.parity import insist, measure_parity
from atrous.packages.directory import ModelPackage, write_package
from atrous.packages.torch_package import read_torch_package

TRIALS = 3  # pictures that the converted network is compared on


@dataclass(frozen=True)
class Trial:
    """A picture of coarse random colours, where no photo is at hand."""

    seed: int
    size: Size

    def read_image(self) -> UInt8[np.ndarray, "height width 3"]:
        """RGB, 0..255; the same for the same seed."""
        generator = np.random.default_rng(self.seed)
        blocks = generator.integers(
            0, 256, (self.size.height // 16 + 1, self.size.width // 16 + 1, 3)
        )
        whole = blocks.repeat(16, axis=0).repeat(16, axis=1)
        return whole[: self.size.height, : self.size.width].astype(np.uint8)


def convert_package(source: Path, folder: Path) -> ModelPackage:
    """Convert a package of Roboflow's layout with `weights.pt` to one with `weights.onnx`."""
    package = read_torch_package(source)
    state = read_state_dict(package.weights)
    network = import_smp_deeplabv3plus(state, package.encoder, len(package.classes))
    return _write(
        network, package.classes, package.preprocess, folder, {"backbone": package.encoder}
    )


def convert_smp(
    source: Path, folder: Path, encoder: str, classes: ClassTable, side: int
) -> ModelPackage:
    """Convert a checkpoint of segmentation_models_pytorch's DeepLabV3Plus."""
    network = import_smp_deeplabv3plus(read_state_dict(source), encoder, len(classes))
    recipe = PreprocessRecipe(Size(side, side))
    return _write(network, classes, recipe, folder, {"backbone": encoder})


def convert_torchvision(
    source: Path, folder: Path, classes: ClassTable | None, side: int
) -> ModelPackage:
    """Convert a checkpoint of torchvision's deeplabv3_resnet50 or deeplabv3_resnet101.

    classes: None takes the names of the published weights (Pascal VOC's), of which there are 21.
    """
    network = import_torchvision(read_state_dict(source))
    names = classes or published_classes()
    if len(names) != network.config.classes:
        raise BadInput(
            f"{source} has {network.config.classes} classes and {len(names)} are named; "
            "name all of them with --classes, background first"
        )
    recipe = PreprocessRecipe(Size(side, side))
    return _write(network, names, recipe, folder, {"backbone": network.config.backbone})


def published_classes() -> ClassTable:
    """The classes of torchvision's published DeepLab weights."""
    from torchvision.models.segmentation import DeepLabV3_ResNet50_Weights

    names = DeepLabV3_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1.meta["categories"]
    return ClassTable((BACKGROUND, *names[1:]))


def _write(
    network: nn.Module,
    classes: ClassTable,
    recipe: PreprocessRecipe,
    folder: Path,
    facts: dict[str, Any],
) -> ModelPackage:
    """Export, compare with the torch network, write; ExportRefused leaves nothing behind."""
    trials = [Trial(seed, recipe.size) for seed in range(TRIALS)]
    with tempfile.TemporaryDirectory(prefix="atrous-convert-") as scratch:
        weights = Path(scratch) / "weights.onnx"
        export_onnx(network, recipe.size, weights)
        parity = measure_parity(network, weights, recipe, trials)
        insist(parity)
        manifest = {**facts, "converted": True, "parity": parity.as_json()}
        return write_package(
            folder, weights=weights, classes=classes, preprocess=recipe, manifest=manifest
        )
