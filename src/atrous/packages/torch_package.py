"""Packages of peers that hold PyTorch weights: read, so that they can be converted."""

from dataclasses import dataclass
from pathlib import Path

from atrous.domain.classes import ClassTable
from atrous.domain.errors import BadInput, BadPackage
from atrous.domain.recipes import PreprocessRecipe
from atrous.packages import inference_config
from atrous.packages.directory import read_class_names, read_json

WEIGHTS = "weights.pt"


@dataclass(frozen=True)
class TorchPackage:
    """What such a package says; the weights themselves are not opened."""

    weights: Path  # state dict of segmentation_models_pytorch's DeepLabV3Plus, pickled
    classes: ClassTable
    preprocess: PreprocessRecipe
    encoder: str  # in the words of segmentation_models_pytorch, as "resnet50"


def read_torch_package(folder: Path) -> TorchPackage:
    """Read a package with weights.pt; BadPackage names what is missing or not understood."""
    weights = folder / WEIGHTS
    if not weights.is_file() or weights.is_symlink():
        raise BadPackage(f"{folder} has no {WEIGHTS}; give the folder of a PyTorch package")
    config = read_json(folder, inference_config.FILE_NAME)
    network = config.get("model_initialization")
    if not isinstance(network, dict) or not isinstance(network.get("encoder_name"), str):
        raise BadPackage(
            f"{inference_config.FILE_NAME} has no model_initialization.encoder_name, "
            'as "resnet50"; add it'
        )
    names = read_class_names(folder)
    try:
        classes = ClassTable(names)
    except BadInput as error:
        raise BadPackage(f"class_names.txt can't be used: {error}") from error
    if network.get("classes", len(names)) != len(names):
        raise BadPackage(
            f"model_initialization says {network['classes']} classes, class_names.txt names "
            f"{len(names)}; they must be the same"
        )
    return TorchPackage(
        weights, classes, inference_config.recipe_from_config(config), network["encoder_name"]
    )
