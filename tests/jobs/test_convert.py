import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import segmentation_models_pytorch as smp
import torch
import torchvision

from atrous.domain.classes import ClassTable
from atrous.domain.errors import BadInput, BadPackage, ExportRefused
from atrous.domain.geometry import Size
from atrous.jobs import convert
from atrous.jobs.convert import (
    Trial,
    convert_package,
    convert_smp,
    convert_torchvision,
    published_classes,
)
from atrous.packages.directory import ModelPackage
from atrous.runtime.session import open_session

CLASSES = ClassTable(("background", "road", "car"))


@pytest.fixture(scope="module")
def smp_network() -> torch.nn.Module:
    torch.manual_seed(0)
    return smp.DeepLabV3Plus("resnet18", encoder_weights=None, classes=3).eval()


def write_torch_package(folder: Path, network: torch.nn.Module, **changes: object) -> Path:
    """A package with weights.pt, as peers lay it out."""
    folder.mkdir()
    torch.save(network.state_dict(), folder / "weights.pt")
    (folder / "class_names.txt").write_text("\n".join(CLASSES.names))
    config = {
        "image_pre_processing": {},
        "network_input": {
            "training_input_size": {"height": 64, "width": 96},
            "color_mode": "rgb",
            "resize_mode": "stretch",
            "input_channels": 3,
            "scaling_factor": 255,
            "normalization": [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]],
        },
        "model_initialization": {"classes": 3, "in_channels": 3, "encoder_name": "resnet18"},
        **changes,
    }
    (folder / "inference_config.json").write_text(json.dumps(config))
    return folder


def logits_of(package: ModelPackage, batch: np.ndarray) -> np.ndarray:
    session = open_session(package.weights, engine="onnxruntime", precision="fp32")
    return session.run(batch)


def test_a_peers_torch_package_gives_its_networks_outputs(
    tmp_path: Path, smp_network: torch.nn.Module
) -> None:
    source = write_torch_package(tmp_path / "source", smp_network)
    package = convert_package(source, tmp_path / "package")
    assert package.class_names == CLASSES.names
    assert package.preprocess.size == Size(64, 96)
    assert package.manifest["parity"]["pixel_agreement"] > 0.999
    batch = np.random.default_rng(0).normal(size=(1, 3, 64, 96)).astype(np.float32)
    with torch.no_grad():
        expected = smp_network(torch.from_numpy(batch)).numpy()
    assert np.abs(logits_of(package, batch) - expected).max() < 1e-4


def test_a_checkpoint_of_smp_needs_encoder_and_classes_that_fit(
    tmp_path: Path, smp_network: torch.nn.Module
) -> None:
    checkpoint = tmp_path / "best.safetensors"
    safetensors.torch.save_file(smp_network.state_dict(), checkpoint)
    package = convert_smp(checkpoint, tmp_path / "package", "resnet18", CLASSES, 64)
    assert package.preprocess.size == Size(64, 64)
    with pytest.raises(BadInput):
        convert_smp(checkpoint, tmp_path / "other", "resnet34", CLASSES, 64)
    assert not (tmp_path / "other").exists()


def test_torchvisions_weights_bring_their_class_names(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = torchvision.models.segmentation.deeplabv3_resnet50(
        weights=None, weights_backbone=None, num_classes=21
    ).eval()
    checkpoint = tmp_path / "deeplabv3_resnet50.pth"
    torch.save(network.state_dict(), checkpoint)
    package = convert_torchvision(checkpoint, tmp_path / "package", None, 64)
    assert package.class_names[:2] == ("background", "aeroplane")
    batch = np.random.default_rng(0).normal(size=(1, 3, 64, 64)).astype(np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(batch))["out"].numpy()
    assert np.abs(logits_of(package, batch) - expected).max() < 1e-4
    with pytest.raises(BadInput, match="21 classes and 3 are named"):
        convert_torchvision(checkpoint, tmp_path / "other", CLASSES, 64)


def test_published_classes_are_those_of_pascal_voc() -> None:
    table = published_classes()
    assert len(table) == 21
    assert table.names[-1] == "tvmonitor"


def test_a_conversion_that_differs_is_refused(
    tmp_path: Path, smp_network: torch.nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export_another(network: torch.nn.Module, size: Size, path: Path) -> None:
        torch.manual_seed(1)
        original(smp.DeepLabV3Plus("resnet18", encoder_weights=None, classes=3), size, path)

    original = convert.export_onnx
    monkeypatch.setattr(convert, "export_onnx", export_another)
    source = write_torch_package(tmp_path / "source", smp_network)
    with pytest.raises(ExportRefused, match="differs from the trained one"):
        convert_package(source, tmp_path / "package")
    assert not (tmp_path / "package").exists()


def test_a_package_that_runs_code_is_refused(tmp_path: Path, smp_network: torch.nn.Module) -> None:
    source = write_torch_package(tmp_path / "source", smp_network)
    torch.save(smp_network, source / "weights.pt")  # the object itself: unpickling would import it
    with pytest.raises(BadInput, match="can't be read as weights"):
        convert_package(source, tmp_path / "package")


def test_a_package_without_its_encoder_is_refused(
    tmp_path: Path, smp_network: torch.nn.Module
) -> None:
    source = write_torch_package(tmp_path / "source", smp_network, model_initialization={})
    with pytest.raises(BadPackage, match="encoder_name"):
        convert_package(source, tmp_path / "package")


def test_trial_pictures_differ_by_seed_alone() -> None:
    size = Size(40, 50)
    assert Trial(0, size).read_image().shape == (40, 50, 3)
    assert (Trial(0, size).read_image() == Trial(0, size).read_image()).all()
    assert (Trial(0, size).read_image() != Trial(1, size).read_image()).any()
