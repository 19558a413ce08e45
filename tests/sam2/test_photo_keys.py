from pathlib import Path

from atrous.sam2.models import Sam2Package
from atrous.sam2.photo_keys import CONTENT_ID, content_id_of, owner_of, photo_key


def package(checksum: str) -> Sam2Package:
    manifest = {"checksums": {"encoder.onnx": checksum, "decoder.onnx": "d"}}
    return Sam2Package(Path("anywhere"), "hiera_tiny", "2.1", manifest)


def test_a_content_id_follows_from_the_bytes_alone() -> None:
    assert content_id_of(b"one") == content_id_of(b"one") != content_id_of(b"other")
    assert CONTENT_ID.fullmatch(content_id_of(b""))


def test_workspaces_and_weights_have_keys_of_their_own() -> None:
    content_id = content_id_of(b"one")
    keys = {
        photo_key(owner_of(workspace, package(checksum)), content_id)
        for workspace in ("mine", "theirs")
        for checksum in ("a", "b")
    }
    assert len(keys) == 4
