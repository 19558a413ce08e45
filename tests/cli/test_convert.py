from pathlib import Path

import segmentation_models_pytorch as smp
import torch

from atrous.packages.directory import read_package


def test_a_checkpoint_becomes_a_package(atrous, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = smp.DeepLabV3Plus("resnet18", encoder_weights=None, classes=2)
    torch.save(network.state_dict(), tmp_path / "best.pt")
    out = tmp_path / "package"
    options = ["--encoder", "resnet18", "--size", "64"]
    code, said, _ = atrous(
        "convert", tmp_path / "best.pt", "--out", out, *options, "--classes", "background,road"
    )
    assert (code, said) == (0, f"{out}\n")
    assert read_package(out).class_names == ("background", "road")
    assert atrous("models", "add", out, "--as", "roads/1")[:2] == (0, "roads/1\n")


def test_wrong_usage_and_wrong_files(atrous, tmp_path: Path) -> None:
    (tmp_path / "best.pt").write_bytes(b"nonsense")
    out = tmp_path / "package"
    assert atrous("convert", tmp_path / "best.pt")[0] == 2
    assert atrous("convert", tmp_path / "best.pt", "--out", out, "--encoder", "resnet18")[0] == 2
    assert atrous("convert", tmp_path, "--out", out, "--encoder", "resnet18")[0] == 2
    code, _, said = atrous("convert", tmp_path / "best.pt", "--out", out)
    assert code == 1
    assert "can't be read as weights" in said
    assert "there is no file" in atrous("convert", tmp_path / "nosuch", "--out", out)[2]
    code, _, said = atrous("convert", tmp_path, "--out", out)
    assert code == 1
    assert "weights.pt" in said
    assert not out.exists()
