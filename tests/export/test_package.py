import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from atrous.datasets.version import Dataset
from atrous.deeplab.network import DeepLab
from atrous.domain.errors import ExportRefused
from atrous.domain.geometry import Size
from atrous.domain.views import Views
from atrous.export import package as package_module
from atrous.export.package import export_package
from atrous.packages.directory import read_package
from atrous.runtime.segmenter import Segmenter


def test_a_package_that_can_be_served(
    network: DeepLab, tiny: ModuleType, dataset: Dataset, tmp_path: Path
) -> None:
    recipe = tiny.tiny_recipe(export_output_stride=8)
    facts = {"metrics": {"valid": {"miou": 0.5}}, "best_epoch": 2}
    folder = tmp_path / "package"
    export_package(network, dataset.classes, recipe, dataset.splits["valid"], folder, facts)
    package = read_package(folder)
    assert package.class_names == ("background", "circle", "square", "triangle")
    assert package.preprocess == recipe.preprocess
    manifest = package.manifest
    assert manifest["metrics"] == facts["metrics"]
    assert manifest["recipe"] == json.loads(json.dumps(recipe.to_json()))
    assert manifest["parity"]["pixel_agreement"] > 0.999
    assert manifest["network"]["output_stride"] == 8
    assert network.config.output_stride == 16  # that of training is left as it was
    assert [path.name for path in tmp_path.iterdir()] == ["package"]
    segmenter = Segmenter(package)
    try:
        photo = dataset.splits["test"][0].read_image()
        assert segmenter.predict(photo).label_map.shape == photo.shape[:2]
    finally:
        segmenter.close()


def test_its_input_may_be_larger_than_in_training(
    network: DeepLab, tiny: ModuleType, dataset: Dataset, tmp_path: Path
) -> None:
    recipe = tiny.tiny_recipe(export_side=96)
    photos = dataset.splits["valid"]
    package = export_package(network, dataset.classes, recipe, photos, tmp_path / "package", {})
    assert package.preprocess.size == Size(96, 96)
    assert package.manifest["parity"]["pixel_agreement"] > 0.999
    segmenter = Segmenter(package)
    try:
        assert segmenter.predict(photos[0].read_image()).label_map.shape == (64, 64)
    finally:
        segmenter.close()


def test_it_may_look_at_the_mirrored_photo_too(
    network: DeepLab, tiny: ModuleType, dataset: Dataset, tmp_path: Path
) -> None:
    photos = dataset.splits["valid"]
    recipe = tiny.tiny_recipe(export_flip=True)
    package = export_package(network, dataset.classes, recipe, photos, tmp_path / "package", {})
    assert package.views == Views(flip=True)
    segmenter = Segmenter(package)
    try:
        photo = photos[0].read_image()
        found, mirrored = segmenter.predict(photo), segmenter.predict(photo[:, ::-1].copy())
        assert np.allclose(found.confidence, mirrored.confidence[:, ::-1], rtol=0, atol=1e-6)
        once = segmenter.predict(photo, views=Views())
        assert not np.allclose(found.confidence, once.confidence, rtol=0, atol=1e-5)
    finally:
        segmenter.close()


def test_a_bad_export_leaves_nothing_behind(
    network: DeepLab,
    tiny: ModuleType,
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def export_another(exported: DeepLab, size: Size, path: Path) -> None:
        with torch.no_grad():
            for parameter in exported.head.parameters():
                parameter.mul_(-1)
        package_module_export(exported, size, path)
        with torch.no_grad():
            for parameter in exported.head.parameters():
                parameter.mul_(-1)

    package_module_export = package_module.export_onnx
    monkeypatch.setattr(package_module, "export_onnx", export_another)
    recipe = tiny.tiny_recipe()
    with pytest.raises(ExportRefused, match="nothing was published"):
        export_package(
            network, dataset.classes, recipe, dataset.splits["valid"], tmp_path / "package", {}
        )
    assert list(tmp_path.iterdir()) == []
