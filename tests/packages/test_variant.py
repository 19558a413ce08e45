from pathlib import Path

import pytest

from atrous.domain.classes import ClassTable
from atrous.domain.errors import Conflict
from atrous.domain.geometry import Size
from atrous.domain.recipes import PreprocessRecipe
from atrous.packages.directory import ModelPackage, read_package, write_package
from atrous.packages.variant import write_variant


@pytest.fixture
def source(tmp_path: Path) -> ModelPackage:
    (tmp_path / "one.onnx").write_bytes(b"one")
    (tmp_path / "other.onnx").write_bytes(b"other")
    return write_package(
        tmp_path / "source",
        weights=tmp_path / "one.onnx",
        classes=ClassTable(("background", "cat")),
        preprocess=PreprocessRecipe(Size(64, 96)),
        manifest={"architecture": "deeplabv3", "metrics": {}},
        card="# Cats\n",
    )


def test_only_the_network_is_another(source: ModelPackage, tmp_path: Path) -> None:
    made = write_variant(
        source,
        tmp_path / "made",
        weights=tmp_path / "other.onnx",
        facts={"export": {"precision": "int8"}},
        card="## Exported\n",
    )
    assert made.weights.read_bytes() == b"other"
    assert (made.class_names, made.preprocess) == (source.class_names, source.preprocess)
    assert made.manifest["export"] == {"precision": "int8"}
    assert "metrics" not in made.manifest
    assert (made.folder / "model_card.md").read_text() == "# Cats\n\n## Exported\n"
    again = write_variant(
        made, tmp_path / "again", weights=tmp_path / "one.onnx", facts={}, card="## Again\n"
    )
    assert (again.folder / "model_card.md").read_text().endswith("## Exported\n\n## Again\n")


def test_openvinos_files_lie_beside_and_are_checked(source: ModelPackage, tmp_path: Path) -> None:
    (tmp_path / "w.xml").write_text("<net/>")
    (tmp_path / "w.bin").write_bytes(b"tensors")
    folder = tmp_path / "made"
    write_variant(
        source,
        folder,
        weights=tmp_path / "other.onnx",
        facts={},
        card="",
        openvino=tmp_path / "w.xml",
    )
    assert (folder / "weights.bin").read_bytes() == b"tensors"
    assert {"weights.xml", "weights.bin"} <= set(read_package(folder).manifest["checksums"])


def test_a_folder_that_is_there_is_left_alone(source: ModelPackage, tmp_path: Path) -> None:
    with pytest.raises(Conflict):
        write_variant(
            source, tmp_path / "source", weights=tmp_path / "other.onnx", facts={}, card=""
        )
    assert read_package(tmp_path / "source").weights.read_bytes() == b"one"
