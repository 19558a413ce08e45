import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from atrous import __version__
from atrous.domain.errors import BadPackage
from atrous.packages.manifest import build_manifest, sha256_of, verify_manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "weights.onnx").write_bytes(b"weights" * 400_000)
    (tmp_path / "class_names.txt").write_bytes(b"background\ncat\n")
    return tmp_path


def built(folder: Path) -> dict[str, Any]:
    names = ("weights.onnx", "class_names.txt")
    return json.loads(build_manifest(folder, names, {"metrics": {"miou": 0.5}}))


def test_facts_and_checksums(folder: Path) -> None:
    manifest = built(folder)
    assert manifest["metrics"] == {"miou": 0.5}
    assert manifest["format"] == "atrous-model-package"
    assert manifest["format_version"] == 1
    assert manifest["atrous_version"] == __version__
    assert manifest["created"].endswith("+00:00")
    digest = hashlib.sha256(b"weights" * 400_000).hexdigest()
    assert manifest["checksums"]["weights.onnx"] == digest == sha256_of(folder / "weights.onnx")
    verify_manifest(folder, manifest)


def test_facts_do_not_replace_checksums(folder: Path) -> None:
    manifest = json.loads(build_manifest(folder, ("weights.onnx",), {"checksums": {}, "format": 0}))
    assert manifest["checksums"]
    assert manifest["format"] == "atrous-model-package"


def test_one_changed_byte_is_found(folder: Path) -> None:
    manifest = built(folder)
    weights = bytearray((folder / "weights.onnx").read_bytes())
    weights[1_234_567] ^= 1
    (folder / "weights.onnx").write_bytes(weights)
    with pytest.raises(BadPackage, match=r"weights\.onnx is damaged"):
        verify_manifest(folder, manifest)


def test_missing_file_is_named(folder: Path) -> None:
    manifest = built(folder)
    (folder / "class_names.txt").unlink()
    with pytest.raises(BadPackage, match=r"class_names\.txt.*missing"):
        verify_manifest(folder, manifest)


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "a/../weights.onnx"])
def test_checksums_stay_in_the_folder(folder: Path, name: str) -> None:
    manifest = built(folder)
    manifest["checksums"][name] = "0" * 64
    with pytest.raises(BadPackage, match="missing"):
        verify_manifest(folder, manifest)


@pytest.mark.parametrize(
    ("key", "value"), [("format_version", 2), ("format_version", None), ("checksums", [])]
)
def test_unknown_formats_are_refused(folder: Path, key: str, value: object) -> None:
    manifest = built(folder) | {key: value}
    with pytest.raises(BadPackage, match=key):
        verify_manifest(folder, manifest)
