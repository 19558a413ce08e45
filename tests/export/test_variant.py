import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from jaxtyping import UInt8

from atrous.domain.errors import BadInput, ExportRefused
from atrous.domain.geometry import Size
from atrous.domain.views import Views
from atrous.export import variant
from atrous.export.quantisation import SPARING
from atrous.export.variant import VariantRequest, export_variant
from atrous.export.variant_figures import LabelledPhotos, VariantFigures
from atrous.images.preprocess import preprocess
from atrous.masks.split_figures import SplitFigures
from atrous.packages.directory import ModelPackage, read_package
from atrous.packages.variant import write_variant
from atrous.runtime.evaluation import measure_all
from atrous.runtime.segmenter import Segmenter
from atrous.runtime.session import open_session

INT8 = VariantRequest(precision="int8")


@dataclass(frozen=True)
class Labels:
    """A label map that is known beforehand."""

    label_map: UInt8[np.ndarray, "height width"]

    def read(self, size: Size) -> UInt8[np.ndarray, "height width"]:
        """The label map, whatever photo it is asked for."""
        return self.label_map

    def unknown_ids(self, size: Size) -> dict[int, int]:
        """None."""
        return {}

    def paths(self) -> tuple[Path, ...]:
        """It is in no file."""
        return ()


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Networks that lose so many points of mIoU, one after the other, and are made by copying."""

    def plan(*drops: float) -> list[str]:
        spared: list[str] = []
        answers: Iterator[float] = iter(drops)

        def quantise(weights: Path, _: Any, prepare: Any, target: Path, sparing: str) -> None:
            spared.append(sparing)
            shutil.copyfile(weights, target)

        def compare(*_: Any) -> tuple[VariantFigures, dict[str, Any]]:
            after = 0.7 - next(answers) / 100
            report = {"miou": after, "recommended_parameters": {"confidence": 0.4}}
            return VariantFigures("valid", 3, 0.7, after, 0.99), report

        monkeypatch.setattr(variant, "quantise", quantise)
        monkeypatch.setattr(variant, "compare", compare)
        return spared

    return plan


def test_an_int8_package_is_served_like_any_other(
    exported_package: ModelPackage, photos: LabelledPhotos, tmp_path: Path
) -> None:
    request = VariantRequest("openvino", "int8", max_drop=100.0)
    package = export_variant(exported_package, request, photos, tmp_path / "small")
    assert package.class_names == exported_package.class_names
    facts = package.manifest["export"]
    assert (facts["precision"], facts["format"], facts["calibration_photos"]) == (
        *("int8", "openvino"),
        3,
    )
    assert facts["left_in_fp32"] == "nothing"
    assert facts["miou_before"] - facts["miou_after"] == pytest.approx(
        facts["drop_points"] / 100, abs=1e-6
    )
    report = package.manifest["metrics"]["valid"]
    assert report["miou"] == facts["miou_after"]
    assert {"boundary_miou", "expected_calibration_error", "miou_interval"} <= set(report)
    assert not {"worst_photos", "recommended_parameters"} & set(report)
    assert package.manifest["source_metrics"] == {"test": {"miou": 0.5}}
    assert f"{facts['miou_after']:.4f}" in (package.folder / "model_card.md").read_text()
    assert {"weights.xml", "weights.bin"} <= {path.name for path in package.folder.iterdir()}
    segmenter = Segmenter(package, precision="fp32")
    assert segmenter.precision == "int8"
    segmenter.close()


def test_layers_are_spared_until_little_enough_is_lost(
    planned: Any, exported_package: ModelPackage, photos: LabelledPhotos, tmp_path: Path
) -> None:
    spared = planned(5.0, 2.0, 0.5)
    package = export_variant(exported_package, INT8, photos, tmp_path / "small")
    assert spared == list(SPARING)
    assert package.manifest["export"]["left_in_fp32"] == SPARING[2]
    assert planned(0.9) == []
    export_variant(exported_package, INT8, photos, tmp_path / "other")
    assert read_package(tmp_path / "other").manifest["export"]["left_in_fp32"] == "nothing"


def test_what_loses_too_much_is_refused_and_leaves_nothing(
    planned: Any, exported_package: ModelPackage, photos: LabelledPhotos, tmp_path: Path
) -> None:
    planned(5.0, 2.0, 3.0)
    with pytest.raises(ExportRefused, match=r"by 2\.00 points"):  # that of the best of them
        export_variant(exported_package, INT8, photos, tmp_path / "small")
    assert list(tmp_path.iterdir()) == []


def test_a_variant_recommends_the_thresholds_of_its_own_confidences(
    exported_package: ModelPackage, photos: LabelledPhotos, tmp_path: Path
) -> None:
    """Found as `atrous evaluate` finds them, and written where peers look for them, too."""
    assert exported_package.best_thresholds == 0.5
    request = VariantRequest(precision="int8", max_drop=100.0)
    package = export_variant(exported_package, request, photos, tmp_path / "small")
    figures = SplitFigures.empty(package.class_names, photos.labelled, package.background_id)
    segmenter = Segmenter(package, precision="fp32")
    measure_all(segmenter.predict, photos.samples, figures, photos.model_ids)
    segmenter.close()
    expected = figures.recommended_parameters()
    assert package.manifest["recommended_parameters"] == expected
    config = json.loads((package.folder / "model_config.json").read_text())
    assert config["recommended_parameters"] == expected
    assert config["backend_type"] == "onnx"
    assert package.best_thresholds == figures.recommended_thresholds()
    _, _, section = (package.folder / "model_card.md").read_text().partition("## Exported in int8")
    assert f"| any other | {expected['confidence']:.3f} |" in section


@pytest.fixture
def undecided(exported_package: ModelPackage, photos: LabelledPhotos, tmp_path: Path) -> Any:
    """A network that gives all classes nearly the same logits, so that little changes labels."""
    session = open_session(exported_package.weights, precision="fp32", coarse=False)
    recipe = exported_package.preprocess
    logits = [session.run(preprocess(s.read_image(), recipe)[0])[0] for s in photos.samples]
    session.close()
    model = onnx.load(exported_package.weights)
    means = np.mean(logits, axis=(0, 2, 3), dtype=np.float32)
    last = [node for node in model.graph.node if node.op_type == "Conv"][-1]
    [bias] = [tensor for tensor in model.graph.initializer if tensor.name == last.input[2]]
    even = onnx.numpy_helper.to_array(bias) - means
    bias.CopyFrom(onnx.numpy_helper.from_array(even, bias.name))
    onnx.save(model, tmp_path / "even.onnx")
    return write_variant(
        exported_package, tmp_path / "even", weights=tmp_path / "even.onnx", facts={}, card=""
    )


def test_a_network_that_int8_spoils_is_refused(
    undecided: ModelPackage,
    photos: LabelledPhotos,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Quantised and measured for real: labels are what fp32 says, of which int8 loses some."""
    segmenter = Segmenter(undecided, precision="fp32")
    said = [segmenter.predict(sample.read_image()).label_map for sample in photos.samples]
    segmenter.close()
    pairs = zip(photos.samples, said, strict=True)
    samples = [replace(sample, label=Labels(label_map)) for sample, label_map in pairs]
    monkeypatch.setattr(variant, "SPARING", ("nothing",))  # no second try with more layers in fp32
    own = replace(photos, samples=samples)
    with pytest.raises(ExportRefused, match=r"falls from 1\.0000 to 0\..*more with --max-drop \d+"):
        export_variant(undecided, INT8, own, tmp_path / "small")
    assert not (tmp_path / "small").exists()


def test_int8_needs_photos(exported_package: ModelPackage, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="--data"):
        export_variant(exported_package, INT8, None, tmp_path / "small")


def test_fp16_does_without(exported_package: ModelPackage, tmp_path: Path) -> None:
    request = VariantRequest(precision="fp16")
    package = export_variant(exported_package, request, None, tmp_path / "half")
    assert package.manifest["export"]["trial_agreement"] > 0.99
    assert package.manifest["metrics"] == {}


def test_a_package_may_ask_for_several_looks(
    exported_package: ModelPackage,
    photos: LabelledPhotos,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the looks change is measured, and may be refused; a later export keeps them."""
    views, measured = Views(window=32, flip=True), []

    def compare(before: ModelPackage, after: ModelPackage, *_: Any) -> Any:
        measured.append((before.views, after.views))
        report = {"miou": 0.69, "recommended_parameters": {"confidence": 0.4}}
        return VariantFigures("valid", 3, 0.7, 0.69, 0.99), report

    monkeypatch.setattr(variant, "compare", compare)
    refused = VariantRequest(max_drop=0.5, views=views)
    with pytest.raises(ExportRefused, match=r"by 1\.00 points"):
        export_variant(exported_package, refused, photos, tmp_path / "refused")
    request = VariantRequest(max_drop=1.5, views=views)
    package = export_variant(exported_package, request, photos, tmp_path / "windows")
    assert package.views == views
    assert measured == [(Views(), views)] * 2
    assert package.weights.read_bytes() == exported_package.weights.read_bytes()
    assert package.manifest["metrics"] == {"valid": {"miou": 0.69}}
    assert package.manifest["source_metrics"] == {"test": {"miou": 0.5}}
    assert "window 32, overlap 0.2500" in (package.folder / "model_card.md").read_text()
    again = export_variant(package, VariantRequest(), photos, tmp_path / "again")
    assert again.views == views
    assert len(measured) == 2  # nothing has changed
    half = VariantRequest(precision="fp16", max_drop=1.5)
    export_variant(package, half, photos, tmp_path / "half")
    assert measured[2] == (views, views)
    plain = export_variant(package, VariantRequest(views=Views()), None, tmp_path / "plain")
    assert plain.views.is_plain


def test_fp32_is_the_same_network_with_its_figures(
    exported_package: ModelPackage, photos: LabelledPhotos, tmp_path: Path
) -> None:
    package = export_variant(exported_package, VariantRequest(), photos, tmp_path / "same")
    assert package.weights.read_bytes() == exported_package.weights.read_bytes()
    assert package.manifest["metrics"] == exported_package.manifest["metrics"]
