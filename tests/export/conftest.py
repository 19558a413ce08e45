"""A tiny network and data set; see tests/training/tiny.py."""

from pathlib import Path
from types import ModuleType

import pytest
import torch

from atrous.datasets.version import Dataset
from atrous.deeplab.network import DeepLab, build_network
from atrous.export.onnx_file import export_onnx


@pytest.fixture(scope="session")
def dataset(tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The tiny set; not to be changed."""
    return tiny.tiny_dataset(tmp_path_factory.mktemp("tiny") / "set")


@pytest.fixture(scope="session")
def network(tiny: ModuleType) -> DeepLab:
    """Random weights whose answers differ from pixel to pixel; not to be changed."""
    torch.manual_seed(0)
    network = build_network("deeplabv3plus", tiny.BACKBONE, 4).train()
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
