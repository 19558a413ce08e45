import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atrous.domain.errors import BadInput
from atrous.domain.geometry import Size
from atrous.jobs.sam2_embed import (
    EMBEDDING_BYTES,
    EmbedProgress,
    embed_photos,
    find_photos,
    photos_of_project,
)
from atrous.sam2.embedding import Embedding
from atrous.sam2.embedding_cache import EmbeddingCache
from atrous.sam2.models import Sam2Package
from atrous.sam2.photo_keys import content_id_of, owner_of, photo_key
from atrous.sam2.segmenter import InteractiveSegmenter

LIMIT = 100 * EMBEDDING_BYTES


class CountingSegmenter(InteractiveSegmenter):
    """Embeds nothing, and counts."""

    precision = "fp32"

    def __init__(self, stop_at: int | None = None) -> None:
        manifest = {"checksums": {"encoder.onnx": "e", "decoder.onnx": "d"}}
        self.package = Sam2Package(Path("anywhere"), "hiera_tiny", "2.1", manifest)
        self.stop_at = stop_at
        self.count = 0

    def embed(self, image: np.ndarray) -> Embedding:
        if self.count == self.stop_at:
            raise KeyboardInterrupt
        self.count += 1
        part = np.zeros((1, 1, 2, 2), np.float16)
        return Embedding(Size(*image.shape[:2]), part, (part, part))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Four pictures, of which two are the same, a broken one, and a text."""
    folder = tmp_path / "photos"
    (folder / "below").mkdir(parents=True)
    for index, name in enumerate(("a.jpg", "b.PNG", "below/c.webp")):
        Image.new("RGB", (30 + index, 20)).save(folder / name)
    (folder / "copy.jpg").write_bytes((folder / "a.jpg").read_bytes())
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> EmbeddingCache:
    return EmbeddingCache(max_bytes=1, folder=tmp_path / "cache", max_disk_bytes=LIMIT)


@pytest.fixture
def embed(photos: Path, cache: EmbeddingCache) -> Callable[..., EmbedProgress]:
    def run(segmenter: CountingSegmenter, limit: int = LIMIT, **options: object) -> EmbedProgress:
        options = {"cache": cache, "workspace_id": "mine", "max_disk_bytes": limit, **options}
        return embed_photos(find_photos(photos), segmenter, **options)

    return run


def test_photos_are_found_below_by_name(photos: Path, tmp_path: Path) -> None:
    names = [Path(one.name).relative_to(photos).as_posix() for one in find_photos(photos)]
    assert names == ["a.jpg", "b.PNG", "below/c.webp", "broken.jpg", "copy.jpg"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="has no pictures"):
        find_photos(tmp_path / "empty")


def test_each_photo_is_embedded_once_where_the_server_looks(embed, photos, cache, caplog) -> None:
    seen: list[int] = []
    segmenter = CountingSegmenter()
    done = embed(segmenter, report=lambda progress: seen.append(progress.done))
    assert done == EmbedProgress(total=5, there=1, embedded=3, unreadable=1)
    assert seen == [1, 2, 3, 4, 5]
    assert "broken.jpg is left out" in caplog.text
    owner = owner_of("mine", segmenter)
    found = cache.get(photo_key(owner, content_id_of((photos / "a.jpg").read_bytes())))
    assert found is not None
    assert found.photo_size == Size(20, 30)
    assert segmenter.count == 3


def test_stopped_it_goes_on_where_it_was(embed) -> None:
    with pytest.raises(KeyboardInterrupt):
        embed(CountingSegmenter(stop_at=2))
    segmenter = CountingSegmenter()
    assert embed(segmenter) == EmbedProgress(total=5, there=3, embedded=1, unreadable=1)
    assert segmenter.count == 1


def test_what_is_there_outlives_what_others_used_before(embed, photos, tmp_path: Path) -> None:
    segmenter = CountingSegmenter()
    embed(segmenter)
    paths = sorted((tmp_path / "cache").iterdir())
    for path in paths:
        os.utime(path, (0, 0))
    assert embed(segmenter).there == 4
    assert all(path.stat().st_mtime > 0 for path in paths)


def test_one_that_was_cut_short_is_embedded_again(embed, tmp_path: Path) -> None:
    embed(CountingSegmenter())
    path = min((tmp_path / "cache").iterdir())
    path.write_bytes(path.read_bytes()[:100])
    assert embed(CountingSegmenter()).embedded == 1


def test_what_does_not_fit_is_refused_before_any_work(embed) -> None:
    segmenter = CountingSegmenter()
    with pytest.raises(BadInput, match="SAM2_EMBEDDING_DISK_BYTES=10 holds fewer"):
        embed(segmenter, limit=10)
    assert segmenter.count == 0


def test_a_limit_below_what_is_there_is_refused_and_nothing_removed(embed, cache, tmp_path) -> None:
    there = tmp_path / "cache" / "theirs.npz"
    with there.open("wb") as file:
        file.truncate(2 * LIMIT)  # a hole: it takes no room
    limits = {"max_bytes": 1, "folder": there.parent, "max_disk_bytes": LIMIT}
    segmenter = CountingSegmenter()
    with pytest.raises(BadInput, match="set it as the server has it"):
        embed(segmenter, cache=EmbeddingCache(**limits))
    assert segmenter.count == 0
    assert there.exists()


def test_a_full_disk_ends_it(embed, tmp_path: Path) -> None:
    (tmp_path / "cache").rmdir()
    with pytest.raises(BadInput, match="make room and run this again"):
        embed(CountingSegmenter())


def test_photos_of_a_project_are_read_once(store, dataset_project, cache, monkeypatch) -> None:
    project = dataset_project.fill_project(store, count=5)
    found = photos_of_project(store, project)
    assert sorted(one.name for one in found) == [f"{number}.png" for number in range(5)]
    assert all(content_id_of(one.read()) == one.content_id for one in found)

    def run(photos):
        segmenter = CountingSegmenter()
        limits = {"workspace_id": project.workspace_id, "max_disk_bytes": LIMIT}
        return embed_photos(photos, segmenter, cache, **limits)

    Path(store.blobs._path(hashlib.sha256(found[0].read()).hexdigest())).unlink()
    assert run(found) == EmbedProgress(total=5, embedded=4, unreadable=1)

    def refuse(digest: str) -> bytes:
        raise AssertionError("photos that are embedded are not read")

    monkeypatch.setattr(store.blobs, "read", refuse)
    assert run(photos_of_project(store, project)[1:]) == EmbedProgress(total=4, there=4)


def test_a_project_without_photos_is_told(store, dataset_project) -> None:
    project = dataset_project.fill_project(store, count=0)
    with pytest.raises(BadInput, match="has no photos"):
        photos_of_project(store, project)


def test_photos_are_as_large_as_the_setting_says(
    store, dataset_project, photos: Path, cache, low_pixel_limit: None
) -> None:
    def run(found):
        limits = {"workspace_id": "mine", "max_disk_bytes": LIMIT}
        return embed_photos(found, CountingSegmenter(), cache, **limits)

    assert run(find_photos(photos, max_pixels=20 * 31)) == EmbedProgress(
        total=5, there=1, embedded=2, unreadable=2
    )
    project = dataset_project.fill_project(store, count=2)  # these were let in
    assert run(photos_of_project(store, project)).embedded == 2
