from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from atrous.cli.sam2_embed import embed_command
from atrous.domain.errors import BadInput, NotFound, NotInstalled
from atrous.domain.geometry import Size
from atrous.sam2.embedding import Embedding
from atrous.sam2.embedding_cache import EmbeddingCache
from atrous.sam2.models import Sam2Package, write_sam2_package
from atrous.sam2.photo_keys import content_id_of, owner_of, photo_key
from atrous.sam2.segmenter import InteractiveSegmenter
from atrous.server import sam2_services
from atrous.store import home_folder, open_store
from atrous.store.images import NewImage


class NoSegmenter(InteractiveSegmenter):
    """Embeds nothing."""

    precision = "fp32"

    def __init__(self, package: Sam2Package, **_: object) -> None:
        self.package = package

    def embed(self, image: np.ndarray) -> Embedding:
        part = np.zeros((1, 1, 2, 2), np.float16)
        return Embedding(Size(*image.shape[:2]), part, (part, part))


@pytest.fixture
def package(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sam2Package:
    monkeypatch.setattr(sam2_services, "InteractiveSegmenter", NoSegmenter)
    for part in ("encoder", "decoder"):
        (tmp_path / f"{part}.onnx").write_bytes(part.encode())
    return write_sam2_package(
        home / "sam2" / "hiera_tiny-2.1",
        encoder=tmp_path / "encoder.onnx",
        decoder=tmp_path / "decoder.onnx",
        variant="hiera_tiny",
        version="2.1",
        facts={},
    )


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    for index in range(3):
        Image.new("RGB", (30 + index, 20)).save(tmp_path / "photos" / f"{index}.png")
    return tmp_path / "photos"


def run(*arguments: object) -> tuple[int, str, BaseException | None]:
    app = typer.Typer()
    app.command()(embed_command)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.stdout, result.exception


def test_photos_lie_where_the_server_finds_them(package: Sam2Package, photos: Path) -> None:
    assert run(photos)[:2] == (0, "3 embedded, 0 were there, 0 can't be read\n")
    assert run(photos)[:2] == (0, "0 embedded, 3 were there, 0 can't be read\n")
    with open_store(home_folder()) as store:
        folder, workspace = store.home.sam2_embeddings, store.workspaces.default()
    cache = EmbeddingCache(max_bytes=1, folder=folder, max_disk_bytes=10**9)
    for photo in photos.iterdir():
        content_id = content_id_of(photo.read_bytes())
        assert cache.on_disk(photo_key(owner_of(workspace.id, NoSegmenter(package)), content_id))


def test_one_that_can_not_be_read_is_told_by_the_exit_code(
    package: Sam2Package, photos: Path
) -> None:
    (photos / "broken.jpg").write_bytes(b"no picture")
    assert run(photos)[:2] == (1, "3 embedded, 0 were there, 1 can't be read\n")


def test_each_workspace_has_its_own(package: Sam2Package, photos: Path) -> None:
    run(photos)
    assert isinstance(run(photos, "--workspace", "theirs")[2], NotFound)
    with open_store(home_folder()) as store:
        store.workspaces.create("theirs")
    assert run(photos, "--workspace", "theirs")[1].startswith("3 embedded")


def test_what_is_missing_is_told(package: Sam2Package, photos: Path, tmp_path: Path) -> None:
    assert isinstance(run(photos, "--model", "hiera_large")[2], NotInstalled)
    (tmp_path / "empty").mkdir()
    assert isinstance(run(tmp_path / "empty")[2], BadInput)
    assert run(tmp_path / "nowhere")[0] == 2


def test_a_shell_with_a_lower_limit_than_the_server_removes_nothing(
    package: Sam2Package, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(photos)
    with open_store(home_folder()) as store:
        folder = store.home.sam2_embeddings
    with (folder / "theirs.npz").open("wb") as file:
        file.truncate(10**9)  # a hole: it takes no room
    there = sorted(folder.iterdir())
    for limit in (1, 10**8):
        monkeypatch.setenv("SAM2_EMBEDDING_DISK_BYTES", str(limit))
        assert isinstance(run(photos)[2], BadInput)
        assert sorted(folder.iterdir()) == there


def test_photos_of_a_project(package: Sam2Package, photos: Path) -> None:
    with open_store(home_folder()) as store:
        workspace = store.workspaces.default()
        project = store.projects.create(
            workspace.id, "Roads", kind="semantic-segmentation", annotation="x"
        )
        for photo in photos.iterdir():
            blob = store.blobs.put(photo.read_bytes())
            new = NewImage(
                name=photo.name,
                digest=blob.digest,
                thumb_digest=blob.digest,
                media_type="image/png",
                size_bytes=blob.size_bytes,
                height=20,
                width=30,
                split="train",
                batch="first",
            )
            store.images.add(project, new)
    assert run("--project", project.slug)[:2] == (0, "3 embedded, 0 were there, 0 can't be read\n")
    assert run(photos)[:2] == (0, "0 embedded, 3 were there, 0 can't be read\n")  # the same files
    assert isinstance(run("--project", "nowhere")[2], NotFound)
    assert run("--project", project.slug, photos)[0] == 2
    assert run()[0] == 2
