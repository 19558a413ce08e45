import dataclasses
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from atrous.domain.errors import BadInput, NotFound
from atrous.export.sam2_package import ConvertedSam2
from atrous.jobs import sam2_add
from atrous.sam2 import official_checkpoints
from atrous.sam2.models import VARIANTS, VERSIONS
from atrous.sam2.official_checkpoints import OFFICIAL, fetch_checkpoint

CONTENT = bytes(range(256)) * 20_000
TINY = dataclasses.replace(
    OFFICIAL["hiera_tiny", "2.1"],
    size_bytes=len(CONTENT),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
)


class Hub(BaseHTTPRequestHandler):
    """Gives the file behind a redirect, as the hub does."""

    asked: list[str] = []
    content = CONTENT

    def do_GET(self) -> None:
        Hub.asked.append(self.path)
        if self.path.startswith("/facebook/") or self.path.startswith("/092824/"):
            self.send_response(302)
            self.send_header("Location", "/storage/blob")
            self.end_headers()
        elif self.path == "/storage/blob":
            self.send_response(200)
            self.send_header("Content-Length", str(len(Hub.content)))
            self.end_headers()
            self.wfile.write(Hub.content)
        else:
            self.send_error(404)

    def log_message(self, *words: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a hub on this machine, which is in use."""
    monkeypatch.setattr(Hub, "asked", [])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.daemon_threads = False  # joined by server_close: no socket is left open
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HF_ENDPOINT", url)
    monkeypatch.setattr(official_checkpoints, "META", url)
    yield url
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("hub", "/facebook/sam2.1-hiera-tiny/resolve/main/sam2.1_hiera_tiny.pt"),
        ("meta", "/092824/sam2.1_hiera_tiny.pt"),
    ],
)
def test_file_is_fetched_and_verified(hub: str, tmp_path: Path, source: str, path: str) -> None:
    told: list[tuple[int, int]] = []
    fetched = fetch_checkpoint(
        TINY, tmp_path / "new", source=source, progress=lambda *step: told.append(step)
    )
    assert fetched == tmp_path / "new" / "sam2.1_hiera_tiny.pt"
    assert fetched.read_bytes() == CONTENT
    assert Hub.asked == [path, "/storage/blob"]
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert list((tmp_path / "new").iterdir()) == [fetched]


@pytest.mark.parametrize(
    "content", [CONTENT[:-1], CONTENT + b"1", CONTENT[:-1] + b"x", b"", b"<html>sorry</html>"]
)
def test_anything_else_is_refused_and_not_kept(
    hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setattr(Hub, "content", content)
    with pytest.raises(BadInput, match=r"bytes, expected|SHA-256"):
        fetch_checkpoint(TINY, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("source", ["hub", "meta"])
def test_adding_takes_what_is_published_and_nothing_else(
    hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    """Over the network and into the store; what converts it is tested elsewhere."""

    def convert(path: Path, variant: str, folder: Path, version: str | None) -> ConvertedSam2:
        assert path.read_bytes() == CONTENT
        (folder / "network").write_bytes(b"network")
        return ConvertedSam2(folder / "network", folder / "network", version or "", {})

    monkeypatch.setattr(sam2_add, "convert_sam2", convert)
    monkeypatch.setitem(OFFICIAL, ("hiera_tiny", "2.1"), TINY)
    package = sam2_add.add_sam2(tmp_path, "hiera_tiny", source=source)
    assert package.manifest["checkpoint"] == {
        "file": TINY.file_name,
        "sha256": TINY.sha256,
        "official": True,
    }
    monkeypatch.setattr(Hub, "content", CONTENT[:-1] + b"x")
    monkeypatch.setitem(OFFICIAL, ("hiera_small", "2.1"), TINY)
    with pytest.raises(BadInput, match="SHA-256"):
        sam2_add.add_sam2(tmp_path, "hiera_small", source=source)
    assert [path.name for path in tmp_path.iterdir()] == ["hiera_tiny-2.1"]


def test_missing_file_names_what_to_do(hub: str, tmp_path: Path) -> None:
    absent = dataclasses.replace(TINY, hub_repository="nobody/nothing", file_name="none.pt")
    with pytest.raises(NotFound, match=r"none\.pt .*--checkpoint"):
        fetch_checkpoint(absent, tmp_path)
    assert not list(tmp_path.iterdir())


def test_no_network_names_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(NotFound, match="--source meta"):
        fetch_checkpoint(TINY, tmp_path)


def test_every_size_and_version_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    assert set(OFFICIAL) == {(variant, version) for variant in VARIANTS for version in VERSIONS}
    assert len({checkpoint.sha256 for checkpoint in OFFICIAL.values()}) == len(OFFICIAL)
    large = OFFICIAL["hiera_b_plus", "2.0"]
    assert large.url("hub") == (
        "https://huggingface.co/facebook/sam2-hiera-base-plus/resolve/main/sam2_hiera_base_plus.pt"
    )
    assert large.url("meta") == (
        "https://dl.fbaipublicfiles.com/segment_anything_2/072824/sam2_hiera_base_plus.pt"
    )
