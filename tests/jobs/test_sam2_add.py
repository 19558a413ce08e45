import dataclasses
import hashlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from atrous.domain.errors import BadInput, Conflict, NotFound
from atrous.export.sam2_package import ConvertedSam2
from atrous.jobs import sam2_add
from atrous.jobs.sam2_add import add_sam2
from atrous.sam2.official_checkpoints import OFFICIAL


def test_checkpoint_becomes_a_model(sam2_package: Any, sam2_checkpoint: Path) -> None:
    """The whole way is walked once, in tests/conftest.py; masks: tests/sam2/test_segmenter.py."""
    assert sam2_package.name == "hiera_tiny-2.1"
    origin = sam2_package.manifest["checkpoint"]
    digest = hashlib.sha256(sam2_checkpoint.read_bytes()).hexdigest()
    assert origin == {"file": sam2_checkpoint.name, "sha256": digest, "official": False}
    assert not list(sam2_package.folder.parent.glob(".*"))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A conversion of no time, and the files that it was given."""
    given: list[Path] = []

    def convert(source: Path, variant: str, folder: Path, version: str | None) -> ConvertedSam2:
        given.append(source)
        for name in ("e", "d"):
            (folder / name).write_bytes(source.read_bytes())
        return ConvertedSam2(folder / "e", folder / "d", version or "2.0", {})

    monkeypatch.setattr(sam2_add, "convert_sam2", convert)
    return given


def test_official_weights_are_fetched_and_known(
    quick: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"weights"
    official = dataclasses.replace(
        OFFICIAL["hiera_small", "2.1"], sha256=hashlib.sha256(content).hexdigest()
    )
    monkeypatch.setitem(OFFICIAL, ("hiera_small", "2.1"), official)
    asked = []

    def fetch(checkpoint: Any, folder: Path, *, source: str, progress: Any) -> Path:
        asked.append((checkpoint, source))
        (folder / checkpoint.file_name).write_bytes(content)
        return folder / checkpoint.file_name

    monkeypatch.setattr(sam2_add, "fetch_checkpoint", fetch)
    package = add_sam2(tmp_path, "hiera_small", source="meta")
    assert asked == [(official, "meta")]
    assert package.name == "hiera_small-2.1"
    assert package.manifest["checkpoint"]["official"]
    assert [path.name for path in tmp_path.iterdir()] == [package.name]  # not what was fetched

    with pytest.raises(Conflict, match=r"atrous sam2 remove hiera_small-2\.1"):
        add_sam2(tmp_path, "hiera_small")
    assert len(asked) == 1  # refused before hundreds of megabytes are fetched


def test_checkpoint_says_its_version(quick: list[Path], tmp_path: Path) -> None:
    (tmp_path / "weights.pt").write_bytes(b"1")
    package = add_sam2(tmp_path / "models", "hiera_tiny", checkpoint=tmp_path)
    assert package.name == "hiera_tiny-2.0"
    assert quick == [tmp_path / "weights.pt"]
    with pytest.raises(Conflict):
        add_sam2(tmp_path / "models", "hiera_tiny", checkpoint=tmp_path)


def test_failure_leaves_nothing_behind(
    tmp_path: Path, official_sam2: ModuleType, sam2_checkpoint: Path
) -> None:
    with pytest.raises(BadInput, match="hiera_large"):
        add_sam2(tmp_path, "hiera_large", checkpoint=sam2_checkpoint)
    assert not list(tmp_path.iterdir())


def test_no_network_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(NotFound, match="--checkpoint"):
        add_sam2(tmp_path, "hiera_tiny")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("variant", "version"), [("tiny", None), ("hiera_tiny", "3")])
def test_unknown_model_is_refused(tmp_path: Path, variant: str, version: str | None) -> None:
    with pytest.raises(BadInput, match="hiera_tiny, hiera_small, hiera_b_plus, hiera_large"):
        add_sam2(tmp_path, variant, version=version)
