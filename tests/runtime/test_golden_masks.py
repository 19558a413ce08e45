"""Every engine and precision against stored answers, so that a new release can't drift unseen."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest

from atrous.domain.classes import ClassTable
from atrous.domain.predictions import Prediction
from atrous.packages.directory import write_package
from atrous.runtime.openvino_session import offers_bf16
from atrous.runtime.segmenter import Segmenter

NEEDS_BF16 = pytest.mark.skipif(not offers_bf16(), reason="this processor has no bf16")
Open = Callable[..., Segmenter]


@dataclass(frozen=True)
class Distance:
    """How far an answer is from the golden one."""

    labels: float  # share of the pixels with another label
    surest: float  # of these: the largest distance of the two likeliest classes' probabilities
    confidence: float  # largest and mean difference of the probability
    mean_confidence: float

    def within(self, limit: "Distance") -> bool:
        return all(value <= getattr(limit, name) for name, value in vars(self).items())


# fp32: only ties may fall the other way, as they do between processors; half a 255th is rounding.
EXACT = Distance(labels=0.005, surest=0.001, confidence=1 / 255, mean_confidence=0.5 / 255)
# int8: a value on the border of two steps may be rounded to either. Measured: 0.06 % of the labels.
ROUNDED = Distance(labels=0.005, surest=0.03, confidence=8 / 255, mean_confidence=1 / 255)
# bf16 keeps 8 bits of each value. Measured: 0.5 % of the labels, 0.015 of the surest.
COARSE = Distance(labels=0.015, surest=0.06, confidence=12 / 255, mean_confidence=2 / 255)


@pytest.fixture(scope="module")
def golden() -> ModuleType:
    path = Path(__file__).with_name("golden_networks.py")
    spec = importlib.util.spec_from_file_location("golden_networks", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def opened(golden: ModuleType, tmp_path: Path) -> Open:
    """The segmenter of a network, "float" or "int8"."""

    def open_kind(kind: str, **settings: str) -> Segmenter:
        weights = tmp_path / "weights.onnx"
        onnx.save(golden.network(kind), weights)
        package = write_package(
            tmp_path / kind,
            weights=weights,
            classes=ClassTable(golden.NAMES),
            preprocess=golden.RECIPE,
            manifest={},
        )
        return Segmenter(package, threads=1, **settings)

    return open_kind


def distance(golden: ModuleType, kind: str, prediction: Prediction) -> Distance:
    labels, confidence, margin = np.moveaxis(golden.read_golden(kind).astype(np.float64), -1, 0)
    other = prediction.label_map != labels
    apart = np.abs(prediction.confidence - confidence / 255)
    return Distance(
        labels=float(other.mean()),
        surest=float(margin[other].max(initial=0)) * golden.MARGIN_STEP,
        confidence=float(apart.max()),
        mean_confidence=float(apart.mean()),
    )


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_fp32(golden: ModuleType, opened: Open, engine: str) -> None:
    segmenter = opened("float", engine=engine, precision="fp32")
    assert segmenter.precision == "fp32"
    found = distance(golden, "float", segmenter.predict(golden.photo()))
    assert found.within(EXACT), found


@NEEDS_BF16
def test_bf16(golden: ModuleType, opened: Open) -> None:
    segmenter = opened("float", engine="openvino", precision="bf16")
    assert segmenter.precision == "bf16"
    found = distance(golden, "float", segmenter.predict(golden.photo()))
    assert found.within(COARSE), found


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_int8(golden: ModuleType, opened: Open, engine: str) -> None:
    segmenter = opened("int8", engine=engine, precision="fp32")
    found = distance(golden, "int8", segmenter.predict(golden.photo()))
    assert found.within(ROUNDED), found


def test_a_small_drift_is_seen(golden: ModuleType, opened: Open) -> None:
    """The limits are no wider than what they guard against."""
    right = opened("float", engine="onnxruntime").predict(golden.photo())
    warmer = Prediction(right.label_map, np.minimum(right.confidence * 1.03, 1))
    moved = Prediction(*(np.roll(each, 1, axis=1) for each in (right.label_map, right.confidence)))
    quantised = opened("int8", engine="onnxruntime").predict(golden.photo())
    assert not distance(golden, "float", warmer).within(EXACT)
    assert not distance(golden, "float", quantised).within(EXACT)
    for limit in (EXACT, ROUNDED, COARSE):
        assert not distance(golden, "float", moved).within(limit)


@pytest.mark.parametrize("kind", ["float", "int8"])
def test_the_golden_answer_is_worth_comparing_with(golden: ModuleType, kind: str) -> None:
    labels, confidence, margin = np.moveaxis(golden.read_golden(kind), -1, 0)
    shares = np.bincount(labels.ravel(), minlength=len(golden.NAMES)) / labels.size
    assert (shares > 0.05).all()
    assert len(np.unique(confidence)) > 100
    assert (margin == 0).mean() < 0.01  # of ties there are few
