import logging
from pathlib import Path

import pytest
import safetensors.torch
import torch
import torchvision

from atrous.deeplab.network import build_network
from atrous.deeplab.starting_point import load_starting_point, network_of_checkpoint
from atrous.domain.errors import BadInput


@pytest.fixture(scope="module")
def torchvision_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    network = torchvision.models.segmentation.deeplabv3_resnet50(
        weights=None, weights_backbone=None, num_classes=21, aux_loss=True
    )
    path = tmp_path_factory.mktemp("weights") / "deeplabv3_resnet50_coco.safetensors"
    safetensors.torch.save_file(network.state_dict(), path)
    return path


def test_torchvisions_checkpoint_is_fine_tuned_for_other_classes(
    torchvision_checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = network_of_checkpoint(torchvision_checkpoint)
    assert config is not None
    assert (config.architecture, config.backbone) == ("deeplabv3", "resnet50")
    assert (config.separable, config.auxiliary) == (False, True)
    network = build_network("deeplabv3", "resnet50", 5, separable=False, auxiliary=True)
    with caplog.at_level(logging.INFO):
        report = load_starting_point(network, torchvision_checkpoint)
    assert set(report.unmatched) == {
        "head.classify.weight",
        "head.classify.bias",
        "auxiliary_head.classify.weight",
        "auxiliary_head.classify.bias",
    }
    assert report.matched == len(network.state_dict()) - 4
    state = safetensors.torch.load_file(torchvision_checkpoint)
    assert torch.equal(network.backbone.network.conv1.weight, state["backbone.conv1.weight"])
    assert "stay RANDOM: head.classify.weight" in caplog.text


def test_a_run_of_ours_is_a_starting_point(tmp_path: Path) -> None:
    torch.manual_seed(0)
    earlier = build_network("deeplabv3plus", "resnet18", 3)
    safetensors.torch.save_file(earlier.state_dict(), tmp_path / "best.safetensors")
    assert network_of_checkpoint(tmp_path / "best.safetensors") is None
    network = build_network("deeplabv3plus", "resnet18", 4)
    report = load_starting_point(network, tmp_path / "best.safetensors")
    assert all("classify" in name for name in report.unmatched)
    with pytest.raises(BadInput, match="tensors fit"):
        load_starting_point(
            build_network("deeplabv3", "resnet50", 3), tmp_path / "best.safetensors"
        )


def test_an_unreadable_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "best.pt").write_bytes(b"nonsense")
    with pytest.raises(BadInput, match="can't be read as weights"):
        network_of_checkpoint(tmp_path / "best.pt")
