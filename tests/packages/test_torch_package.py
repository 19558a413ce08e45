import json
from pathlib import Path
from typing import Any

import pytest

from atrous.domain.errors import BadPackage
from atrous.domain.geometry import Size
from atrous.packages.torch_package import read_torch_package


def write(folder: Path, names: str = "background\nroad", **changes: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "weights.pt").write_bytes(b"not opened")
    (folder / "class_names.txt").write_text(names)
    config = {
        "network_input": {
            "training_input_size": {"height": 32, "width": 64},
            "color_mode": "rgb",
            "resize_mode": "stretch",
        },
        "model_initialization": {"classes": 2, "in_channels": 3, "encoder_name": "resnet50"},
        **changes,
    }
    (folder / "inference_config.json").write_text(json.dumps(config))
    return folder


def test_it_is_read_without_opening_the_weights(tmp_path: Path) -> None:
    package = read_torch_package(write(tmp_path))
    assert package.encoder == "resnet50"
    assert package.classes.names == ("background", "road")
    assert package.preprocess.size == Size(32, 64)
    assert package.weights == tmp_path / "weights.pt"


@pytest.mark.parametrize(
    ("names", "changes", "message"),
    [
        ("background\nroad", {"model_initialization": None}, "encoder_name"),
        ("background\nroad", {"model_initialization": {"encoder_name": 3}}, "encoder_name"),
        ("road\nbackground", {}, "put it first"),
        ("road\ncar", {}, "background"),
        (
            "background\nroad",
            {"model_initialization": {"encoder_name": "resnet50", "classes": 5}},
            "5 classes",
        ),
        ("background\nroad", {"network_input": {}}, "training_input_size"),
    ],
)
def test_what_does_not_fit_is_named(
    tmp_path: Path, names: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadPackage, match=message):
        read_torch_package(write(tmp_path, names, **changes))


def test_a_folder_without_weights(tmp_path: Path) -> None:
    with pytest.raises(BadPackage, match=r"weights\.pt"):
        read_torch_package(tmp_path)
