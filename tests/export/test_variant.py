import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from atrous.domain.errors import BadInput, ExportRefused
from atrous.domain.views import Views
from atrous.export import variant
from atrous.export.quantisation import SPARING
from atrous.export.variant import VariantRequest, export_variant
from atrous.export.variant_figures import LabelledPhotos, VariantFigures
from atrous.packages.directory import ModelPackage, read_package
from atrous.runtime.segmenter import Segmenter

INT8 = VariantRequest(precision="int8")


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
            return VariantFigures("valid", 3, 0.7, after, 0.99), {"miou": after}

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
    assert package.manifest["metrics"]["valid"]["miou"] == facts["miou_after"]
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
        return VariantFigures("valid", 3, 0.7, 0.69, 0.99), {"miou": 0.69}

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
