from pathlib import Path

from atrous.sam2.models import Sam2Package
from atrous.sam2.photo_keys import CONTENT_ID, content_id_of, owner_of, photo_key
from atrous.sam2.segmenter import InteractiveSegmenter


class NoSegmenter(InteractiveSegmenter):
    """Has a package and a precision, and nothing else."""

    precision = "fp32"

    def __init__(self, checksum: str, precision: str) -> None:
        manifest = {"checksums": {"encoder.onnx": checksum, "decoder.onnx": "d"}}
        self.package = Sam2Package(Path("anywhere"), "hiera_tiny", "2.1", manifest)
        self.precision = precision


def test_a_content_id_follows_from_the_bytes_alone() -> None:
    assert content_id_of(b"one") == content_id_of(b"one") != content_id_of(b"other")
    assert CONTENT_ID.fullmatch(content_id_of(b""))


def test_workspaces_weights_and_precisions_have_keys_of_their_own() -> None:
    content_id = content_id_of(b"one")
    keys = {
        photo_key(owner_of(workspace, NoSegmenter(checksum, precision)), content_id)
        for workspace in ("mine", "theirs")
        for checksum in ("a", "b")
        for precision in ("fp32", "bf16")
    }
    assert len(keys) == 8
