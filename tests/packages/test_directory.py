import json
import os
from pathlib import Path
from typing import Any

import pytest

from atrous.domain.classes import ClassTable
from atrous.domain.errors import BadPackage, Conflict
from atrous.domain.geometry import Size
from atrous.domain.recipes import PreprocessRecipe
from atrous.domain.views import Views
from atrous.packages.directory import copy_package, read_package, write_package

RECIPE = PreprocessRecipe(size=Size(64, 96), resize_mode="letterbox")
CLASSES = ClassTable(("background", "cat", "Straße 自"))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "exported.onnx"
    path.write_bytes(b"weights, that this room never looks into")
    return path


@pytest.fixture
def package(tmp_path: Path, weights: Path) -> Path:
    facts = {"architecture": "deeplabv3", "metrics": {"miou": 0.9}}
    folder = tmp_path / "made" / "package"
    write_package(folder, weights=weights, classes=CLASSES, preprocess=RECIPE, manifest=facts)
    return folder


def foreign(folder: Path, config: dict[str, Any] | None = None) -> Path:
    """A package as the peer's engine caches it."""
    folder.mkdir()
    (folder / "weights.onnx").write_bytes(b"weights")
    (folder / "class_names.txt").write_text("cat\r\nBackground\r\n\r\n")
    model = {"model_architecture": "deep-lab-v3-plus", "task_type": "semantic-segmentation"}
    (folder / "model_config.json").write_text(json.dumps(model | {"backend_type": "onnx"}))
    network = {
        "training_input_size": {"height": 64, "width": 64},
        "dynamic_spatial_size_supported": False,
        "color_mode": "rgb",
        "resize_mode": "stretch",
        "input_channels": 3,
        "scaling_factor": 255,
        "normalization": [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]],
    }
    (folder / "inference_config.json").write_text(json.dumps({"network_input": network}))
    return folder


def test_written_package_is_read_back(package: Path, weights: Path) -> None:
    read = read_package(package)
    assert read.folder == package
    assert read.weights.read_bytes() == weights.read_bytes()
    assert read.class_names == CLASSES.names
    assert read.class_map == {"0": "background", "1": "cat", "2": "Straße 自"}
    assert read.background_id == 0
    assert read.preprocess == RECIPE
    assert read.layout == "inference-models"
    assert read.architecture == "deeplabv3"
    assert read.default_confidence == 0.5
    assert read.manifest["metrics"] == {"miou": 0.9}


def test_written_files(package: Path) -> None:
    assert sorted(path.name for path in package.iterdir()) == [
        "class_names.txt",
        "inference_config.json",
        "manifest.json",
        "model_config.json",
        "weights.onnx",
    ]
    assert json.loads((package / "model_config.json").read_text()) == {
        "model_architecture": "deep-lab-v3-plus",
        "task_type": "semantic-segmentation",
        "backend_type": "onnx",
    }
    assert (package / "class_names.txt").read_text("utf-8") == "background\ncat\nStraße 自\n"
    checked = json.loads((package / "manifest.json").read_text())["checksums"]
    assert set(checked) == {path.name for path in package.iterdir()} - {"manifest.json"}
    assert list(package.parent.iterdir()) == [package]
    assert package.stat().st_mode & 0o777 == 0o755


def test_existing_folder_is_left_alone(package: Path, weights: Path) -> None:
    before = (package / "manifest.json").read_bytes()
    with pytest.raises(Conflict, match="exists already"):
        write_package(package, weights=weights, classes=CLASSES, preprocess=RECIPE, manifest={})
    assert (package / "manifest.json").read_bytes() == before


@pytest.mark.parametrize("fails", ["copy", "rename", "manifest"])
def test_failure_leaves_nothing(
    tmp_path: Path, weights: Path, fails: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "new" / "package"
    manifest: dict[str, Any] = {}
    if fails == "copy":
        weights.unlink()
    elif fails == "manifest":
        manifest = {"miou": float("nan")}
    else:
        monkeypatch.setattr(Path, "rename", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises((OSError, ValueError)):
        write_package(
            target, weights=weights, classes=CLASSES, preprocess=RECIPE, manifest=manifest
        )
    assert list(target.parent.iterdir()) == []


def test_everything_is_flushed_before_the_name_appears(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    flush, rename = os.fsync, Path.rename
    monkeypatch.setattr(os, "fsync", lambda file: (events.append("flush"), flush(file))[1])
    monkeypatch.setattr(
        Path, "rename", lambda self, to: (events.append("rename"), rename(self, to))[1]
    )
    write_package(
        tmp_path / "package", weights=weights, classes=CLASSES, preprocess=RECIPE, manifest={}
    )
    # five files and their folder before, the parent folder after
    assert events == ["flush"] * 6 + ["rename", "flush"]


@pytest.mark.parametrize("name", ["two\nlines", "two\rlines", " padded", "\ud800"])
def test_names_that_the_file_cannot_hold(tmp_path: Path, weights: Path, name: str) -> None:
    classes = ClassTable(("background", name))
    with pytest.raises(BadPackage, match="class name"):
        write_package(
            tmp_path / "p", weights=weights, classes=classes, preprocess=RECIPE, manifest={}
        )


def test_a_name_ends_where_its_line_does(tmp_path: Path, weights: Path) -> None:
    classes = ClassTable(("background", "road\u2028surface", 'pipe 12"', "a\x85b"))
    made = write_package(
        tmp_path / "p", weights=weights, classes=classes, preprocess=RECIPE, manifest={}
    )
    assert made.class_names == classes.names


def test_damage_is_found(package: Path) -> None:
    (package / "class_names.txt").write_text("background\ndog\nbird\n")
    with pytest.raises(BadPackage, match=r"class_names\.txt is damaged"):
        read_package(package)


def test_foreign_package(tmp_path: Path) -> None:
    read = read_package(foreign(tmp_path / "foreign"))
    assert read.class_names == ("cat", "Background")
    assert read.background_id == 1
    assert read.architecture == "deep-lab-v3-plus"
    assert read.manifest == {}


@pytest.mark.parametrize(
    ("recommended", "best"),
    [
        ({"confidence": 0.35}, 0.35),
        ({"confidence": 1}, 1.0),
        ({"confidence": None}, 0.5),
        ({}, 0.5),
    ],
)
def test_a_recommended_confidence_is_read(
    tmp_path: Path, weights: Path, recommended: dict[str, Any], best: Any
) -> None:
    other = foreign(tmp_path / "foreign")
    config = json.loads((other / "model_config.json").read_text())
    config["recommended_parameters"] = recommended
    (other / "model_config.json").write_text(json.dumps(config))
    own = write_package(
        tmp_path / "own",
        weights=weights,
        classes=CLASSES,
        preprocess=RECIPE,
        manifest={"recommended_parameters": recommended},
    )
    assert read_package(other).best_thresholds == own.best_thresholds == best
    assert own.default_confidence == 0.5


@pytest.mark.parametrize("confidence", [1.5, -0.1, "high", True, [0.5]])
def test_a_recommended_confidence_that_is_none_is_named(tmp_path: Path, confidence: Any) -> None:
    folder = foreign(tmp_path / "foreign")
    config = json.loads((folder / "model_config.json").read_text())
    config["recommended_parameters"] = {"confidence": confidence}
    (folder / "model_config.json").write_text(json.dumps(config))
    with pytest.raises(BadPackage, match=r"model_config\.json says recommended_parameters"):
        read_package(folder)


def test_foreign_manifest_is_ignored(tmp_path: Path) -> None:
    folder = foreign(tmp_path / "foreign")
    (folder / "manifest.json").write_text('{"version": 3}')
    assert read_package(folder).manifest == {}


def test_legacy_package(tmp_path: Path) -> None:
    folder = foreign(tmp_path / "legacy")
    (folder / "model_config.json").unlink()
    (folder / "inference_config.json").unlink()
    resize = {"width": 96, "height": 64, "format": "Fit (white edges) in"}
    (folder / "environment.json").write_text(json.dumps({"PREPROCESSING": {"resize": resize}}))
    read = read_package(folder)
    assert read.layout == "legacy"
    assert read.architecture == "deep-lab-v3-plus"
    assert read.preprocess == PreprocessRecipe(
        size=Size(64, 96), resize_mode="letterbox", padding_value=255
    )


@pytest.mark.parametrize(
    ("other", "remedy"), [("weights.pt", "atrous convert"), ("engine.plan", "export the network")]
)
def test_other_weights_are_explained(tmp_path: Path, other: str, remedy: str) -> None:
    folder = foreign(tmp_path / "foreign")
    (folder / "weights.onnx").rename(folder / other)
    with pytest.raises(BadPackage, match=f"{other}.*{remedy}"):
        read_package(folder)


@pytest.mark.parametrize(
    "missing", ["weights.onnx", "class_names.txt", "model_config.json", "inference_config.json"]
)
def test_missing_files_are_named(tmp_path: Path, missing: str) -> None:
    folder = foreign(tmp_path / "foreign")
    (folder / missing).unlink()
    with pytest.raises(BadPackage, match=missing):
        read_package(folder)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(BadPackage, match="not a folder"):
        read_package(tmp_path / "absent")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("class_names.txt", "cat\ndog\n", "'background'"),
        ("class_names.txt", "background\n", "at least one other"),
        ("class_names.txt", "", "nothing"),
        ("class_names.txt", "background\n" + "\n".join(map(str, range(255))), "256 classes"),
        ("model_config.json", "{", "not JSON"),
        ("model_config.json", "[]", "JSON object"),
        ("model_config.json", '{"task_type": "object-detection"}', "object-detection"),
        (
            "model_config.json",
            '{"task_type": "semantic-segmentation", "backend_type": "torch"}',
            "torch",
        ),
        ("inference_config.json", "[" * 100_000, "not JSON"),
        ("inference_config.json", " " * 5_000_000, "bytes"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, text: str, message: str) -> None:
    folder = foreign(tmp_path / "foreign")
    (folder / name).write_text(text)
    with pytest.raises(BadPackage, match=message):
        read_package(folder)


def test_copy_takes_known_files_alone(tmp_path: Path, package: Path) -> None:
    (package / "notes.txt").write_text("private")
    copy = copy_package(package, tmp_path / "copies" / "copy")
    assert copy.class_names == CLASSES.names
    assert not (copy.folder / "notes.txt").exists()
    for path in copy.folder.iterdir():
        assert path.read_bytes() == (package / path.name).read_bytes()
    with pytest.raises(Conflict):
        copy_package(package, copy.folder)


@pytest.mark.parametrize("name", ["weights.onnx", "class_names.txt", "manifest.json"])
def test_links_are_refused(tmp_path: Path, package: Path, name: str) -> None:
    (package / name).rename(tmp_path / "elsewhere")
    (package / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadPackage, match=f"{name} is a link"):
        copy_package(package, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_thresholds_per_class_are_written_where_peers_look_too(
    tmp_path: Path, weights: Path
) -> None:
    recommended = {"confidence": 0.3, "per_class_confidence": {"cat": 0.25}}
    own = write_package(
        tmp_path / "own",
        weights=weights,
        classes=CLASSES,
        preprocess=RECIPE,
        manifest={"recommended_parameters": recommended},
        card="# A card",
    )
    assert own.best_thresholds == (0.3, 0.25, 0.3)
    assert (own.folder / "model_card.md").read_text() == "# A card"
    for name in ("model_config.json", "manifest.json"):
        values = json.loads((own.folder / name).read_text())
        assert values["recommended_parameters"] == recommended
    (own.folder / "manifest.json").unlink()
    assert read_package(own.folder).best_thresholds == (0.3, 0.25, 0.3)
    copied = copy_package(own.folder, tmp_path / "copy")
    assert (copied.folder / "model_card.md").exists()


def test_views_are_read_from_the_manifest(tmp_path: Path, weights: Path) -> None:
    settings = {"weights": weights, "classes": CLASSES, "preprocess": RECIPE}
    manifest = {"views": {"window": 64, "flip": True}}
    package = write_package(tmp_path / "own", manifest=manifest, **settings)
    assert package.views == Views(window=64, flip=True)
    with pytest.raises(BadPackage, match=r"manifest\.json says of views: a window of 3 pixels"):
        write_package(tmp_path / "bad", manifest={"views": {"window": 3}}, **settings)
