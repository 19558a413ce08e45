import json
from pathlib import Path

import pytest

from atrous.domain.errors import BadPackage, Conflict, NotFound
from atrous.sam2.models import (
    DECODER,
    ENCODER,
    MANIFEST,
    Sam2Package,
    find_package,
    installed,
    read_sam2_package,
    remove_package,
    write_sam2_package,
)


def write(store: Path, variant: str = "hiera_tiny", version: str = "2.1") -> Sam2Package:
    """A model whose networks are a few bytes."""
    store.mkdir(exist_ok=True)
    (store / "e").write_bytes(b"encoder of " + variant.encode())
    (store / "d").write_bytes(b"decoder")
    return write_sam2_package(
        store / f"{variant}-{version}",
        encoder=store / "e",
        decoder=store / "d",
        variant=variant,
        version=version,
        facts={"parity": {"logits": 0.0}},
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written = write(tmp_path)
    assert read_sam2_package(written.folder) == written
    assert written.name == "hiera_tiny-2.1"
    assert written.encoder.read_bytes() == b"encoder of hiera_tiny"
    assert written.decoder.read_bytes() == b"decoder"
    assert written.manifest["parity"] == {"logits": 0.0}
    assert not list(tmp_path.glob(".*"))


def test_networks_for_many_prompts_may_be_there(tmp_path: Path) -> None:
    assert write(tmp_path).for_many is None  # converted by an earlier version
    paths = [tmp_path / name for name in "tabcd"]
    for path in paths:
        path.write_bytes(path.name.encode())
    package = write_sam2_package(
        tmp_path / "hiera_small-2.1",
        encoder=tmp_path / "e",
        decoder=tmp_path / "d",
        variant="hiera_small",
        version="2.1",
        facts={},
        for_many=paths,
    )
    assert package.for_many is not None
    assert [path.read_bytes() for path in package.for_many] == [*map(str.encode, "tabcd")]
    package.for_many[4].write_bytes(b"n")
    with pytest.raises(BadPackage, match=r"prompt_tokens_4\.onnx .* is damaged"):
        read_sam2_package(package.folder)
    package.for_many[0].unlink()
    with pytest.raises(BadPackage, match=r"no photo_terms\.onnx"):
        read_sam2_package(package.folder)


def test_networks_of_an_earlier_version_are_left_alone(tmp_path: Path) -> None:
    package = write(tmp_path)
    manifest = package.manifest | {
        "checksums": {**package.manifest["checksums"], "photo_terms.onnx": "0", "many.onnx": "1"}
    }
    (package.folder / "manifest.json").write_text(json.dumps(manifest))
    assert read_sam2_package(package.folder).for_many is None


def test_weights_tell_models_apart(tmp_path: Path) -> None:
    one, other = write(tmp_path), write(tmp_path, "hiera_small")
    assert one.identity != other.identity


def test_newest_version_is_found(tmp_path: Path) -> None:
    write(tmp_path, version="2.0")
    assert find_package(tmp_path, "hiera_tiny").version == "2.0"
    write(tmp_path)
    assert find_package(tmp_path, "hiera_tiny").version == "2.1"
    assert find_package(tmp_path, "hiera_tiny", "2.0").version == "2.0"
    packages, damaged = installed(tmp_path)
    assert [one.name for one in packages] == ["hiera_tiny-2.0", "hiera_tiny-2.1"]
    assert damaged == []


@pytest.mark.parametrize("file", [ENCODER, MANIFEST])
def test_an_older_version_serves_where_the_newest_is_damaged(
    tmp_path: Path, file: str, caplog: pytest.LogCaptureFixture
) -> None:
    for version in ("2.0", "2.1"):
        write(tmp_path, version=version)
    (tmp_path / "hiera_tiny-2.1" / file).write_text("{")
    assert find_package(tmp_path, "hiera_tiny").version == "2.0"
    assert "hiera_tiny-2.0 is served instead" in caplog.text
    with pytest.raises(BadPackage):
        find_package(tmp_path, "hiera_tiny", "2.1")
    packages, damaged = installed(tmp_path)
    assert [one.version for one in packages] == (["2.0"] if damaged else ["2.0", "2.1"])
    assert len(damaged) == (file == MANIFEST)
    (tmp_path / "hiera_tiny-2.0" / file).write_text("{")
    with pytest.raises(BadPackage):
        find_package(tmp_path, "hiera_tiny")


def test_missing_model_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="atrous sam2 add hiera_tiny$"):
        find_package(tmp_path / "none", "hiera_tiny")
    with pytest.raises(NotFound, match=r"atrous sam2 add hiera_small --version 2\.0$"):
        find_package(tmp_path, "hiera_small", "2.0")
    with pytest.raises(NotFound, match="hiera_tiny, hiera_small, hiera_b_plus, hiera_large"):
        find_package(tmp_path, "../secrets")
    assert installed(tmp_path / "none") == ([], [])


def test_damage_is_found(tmp_path: Path) -> None:
    package = write(tmp_path)
    package.decoder.write_bytes(b"decodes")
    with pytest.raises(BadPackage, match=r"decoder\.onnx .* is damaged"):
        find_package(tmp_path, "hiera_tiny")
    assert read_sam2_package(package.folder, verify=False).name == package.name
    package.encoder.unlink()
    with pytest.raises(BadPackage, match=r"no encoder\.onnx"):
        read_sam2_package(package.folder)


@pytest.mark.parametrize(
    "changes",
    [{"kind": "other"}, {"variant": "hiera_huge"}, {"version": "3"}, {"checksums": {ENCODER: ""}}],
)
def test_strange_manifest_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    package = write(tmp_path)
    manifest = {**package.manifest, **changes}
    (package.folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(BadPackage):
        read_sam2_package(package.folder)


def test_unreadable_manifest_is_refused(tmp_path: Path) -> None:
    package = write(tmp_path)
    (package.folder / MANIFEST).write_text("{")
    with pytest.raises(BadPackage, match="atrous sam2 add"):
        read_sam2_package(package.folder)


def test_nothing_is_overwritten_or_left_behind(tmp_path: Path) -> None:
    package = write(tmp_path)
    with pytest.raises(Conflict):
        write(tmp_path)
    with pytest.raises(BadPackage):
        write(tmp_path, variant="hiera_huge")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d", "e", package.name]
    assert sorted(path.name for path in package.folder.iterdir()) == [DECODER, ENCODER, MANIFEST]


def test_removed_is_gone_and_can_come_back(tmp_path: Path) -> None:
    package = write(tmp_path)
    remove_package(tmp_path, package.name)
    assert installed(tmp_path) == ([], [])
    for name in (package.name, "..", "e"):
        with pytest.raises(NotFound, match="atrous sam2 list"):
            remove_package(tmp_path, name)
    package.folder.mkdir()  # as an interrupted removal leaves it
    (package.folder / DECODER).write_bytes(b"")
    write(tmp_path)
