import math
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from atrous.datasets.version import Dataset
from atrous.deeplab.network import DeepLab
from atrous.domain.errors import ExportRefused
from atrous.export.parity import ParityReport, _spread, insist, measure_parity

GOOD = ParityReport(8, max_difference=1e-4, relative_difference=1e-5, pixel_agreement=0.9999)


def altered(exported: Path, target: Path, change: float) -> Path:
    """The exported network with every weight of its last convolution multiplied."""
    model = onnx.load(exported)
    last = [node for node in model.graph.node if node.op_type == "Conv"][-1]
    [weights] = [tensor for tensor in model.graph.initializer if tensor.name == last.input[1]]
    values = (numpy_helper.to_array(weights) * np.float32(change)).astype(np.float32)
    weights.CopyFrom(numpy_helper.from_array(values, weights.name))
    onnx.save(model, target)
    return target


def test_parity_holds(network: DeepLab, exported: Path, tiny: ModuleType, dataset: Dataset) -> None:
    recipe = tiny.tiny_recipe().preprocess
    report = measure_parity(network, exported, recipe, dataset.splits["valid"])
    assert report.photos == 3
    assert report.pixel_agreement > 0.9995
    assert report.relative_difference < 1e-3
    insist(report)
    assert report.as_json()["photos"] == 3


@pytest.mark.parametrize("change", [-1.0, 1.5, math.nan])
def test_an_altered_network_is_refused(
    network: DeepLab,
    exported: Path,
    tiny: ModuleType,
    dataset: Dataset,
    tmp_path: Path,
    change: float,
) -> None:
    weights = altered(exported, tmp_path / "weights.onnx", change)
    recipe = tiny.tiny_recipe().preprocess
    report = measure_parity(network, weights, recipe, dataset.splits["valid"])
    with pytest.raises(ExportRefused):
        insist(report)


def test_a_network_of_nan_is_refused_though_both_agree(
    network: DeepLab, exported: Path, tiny: ModuleType, dataset: Dataset, tmp_path: Path
) -> None:
    """All logits nan: the class of every pixel is 0 on both sides."""
    weights = altered(exported, tmp_path / "weights.onnx", math.nan)

    class Broken(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return network(x) * math.nan

    recipe = tiny.tiny_recipe().preprocess
    report = measure_parity(Broken(), weights, recipe, dataset.splits["valid"])
    with pytest.raises(ExportRefused):
        insist(report)


@pytest.mark.parametrize(
    "change",
    [
        {"pixel_agreement": 0.998},
        {"relative_difference": 0.02},
        {"pixel_agreement": math.nan},
        {"relative_difference": math.nan, "max_difference": math.nan},
    ],
)
def test_what_is_refused(change: dict[str, float]) -> None:
    insist(GOOD)
    with pytest.raises(ExportRefused, match="nothing was published"):
        insist(replace(GOOD, **change))


def test_photos_are_spread_over_the_split() -> None:
    assert _spread(100, 8).tolist() == [0, 14, 28, 42, 56, 70, 84, 99]
    assert _spread(3, 8).tolist() == [0, 1, 2]
    assert _spread(1, 8).tolist() == [0]
