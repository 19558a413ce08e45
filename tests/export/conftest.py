"""A tiny network and data set; see tests/training/tiny.py."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from atrous.datasets.version import Dataset
from atrous.deeplab.network import DeepLab, build_network
from atrous.export.onnx_file import export_onnx
from atrous.export.variant_figures import LabelledPhotos
from atrous.packages.directory import ModelPackage, write_package


@pytest.fixture(scope="session")
def dataset(tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The tiny set; not to be changed."""
    return tiny.tiny_dataset(tmp_path_factory.mktemp("tiny") / "set")


@pytest.fixture(scope="session")
def network(tiny: ModuleType) -> DeepLab:
    """Random weights whose answers differ from pixel to pixel; not to be changed."""
    torch.manual_seed(0)
    network = build_network("deeplabv3plus", tiny.BACKBONE, 4, aligned=True).train()
    with torch.no_grad():
        for _ in range(3):  # statistics of batch norm
            network(torch.randn(4, 3, 64, 64))
    return network.eval()


@pytest.fixture(scope="session")
def exported(network: DeepLab, tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network as an ONNX file; not to be changed."""
    path = tmp_path_factory.mktemp("exported") / "weights.onnx"
    export_onnx(network, tiny.SIZE, path)
    return path


@pytest.fixture(scope="session")
def quantised(exported: Path, tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network in int8; not to be changed."""
    from atrous.export.quantisation import quantise
    from atrous.runtime.trial_pictures import trial_pictures

    path = tmp_path_factory.mktemp("quantised") / "weights.onnx"
    quantise(exported, trial_pictures(tiny.SIZE), lambda picture: picture, path)
    return path


@pytest.fixture(scope="session")
def exported_package(
    exported: Path, tiny: ModuleType, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> ModelPackage:
    """The network as a package; not to be changed."""
    return write_package(
        tmp_path_factory.mktemp("package") / "package",
        weights=exported,
        classes=dataset.classes,
        preprocess=tiny.tiny_recipe().preprocess,
        manifest={"architecture": "deeplabv3plus", "metrics": {"test": {"miou": 0.5}}},
    )


@pytest.fixture(scope="session")
def photos(dataset: Dataset, exported_package: ModelPackage) -> LabelledPhotos:
    """The validation split of the tiny set, whose ids are those of the package."""
    ids = np.arange(256, dtype=np.uint8)
    samples = dataset.splits["valid"]
    return LabelledPhotos(samples, "valid", ids, (0, 1, 2, 3), exported_package.preprocess)
