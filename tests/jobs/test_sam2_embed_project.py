from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from atrous.domain.errors import BadInput, NotFound
from atrous.domain.geometry import Size
from atrous.jobs import sam2_embed_project
from atrous.jobs.sam2_embed_project import embed_project
from atrous.sam2.embedding import Embedding
from atrous.sam2.embedding_cache import EmbeddingCache
from atrous.sam2.models import Sam2Package, write_sam2_package
from atrous.sam2.photo_keys import content_id_of, owner_of, photo_key
from atrous.sam2.segmenter import InteractiveSegmenter
from atrous.store.jobs import EMBED_PROJECT, Job
from atrous.store.opening import Store

LIMIT = 10**9


class NoSegmenter(InteractiveSegmenter):
    """Embeds nothing, and remembers how it was opened."""

    precision = "fp32"
    opened: list[dict[str, Any]] = []

    def __init__(self, package: Sam2Package, **settings: Any) -> None:
        self.package = package
        self.opened.append(settings)

    def embed(self, image: np.ndarray) -> Embedding:
        part = np.zeros((1, 1, 2, 2), np.float16)
        return Embedding(Size(*image.shape[:2]), part, (part, part))


@pytest.fixture
def package(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sam2Package:
    monkeypatch.setattr(sam2_embed_project, "InteractiveSegmenter", NoSegmenter)
    monkeypatch.setattr(sam2_embed_project, "REPORT_S", 0.0)
    monkeypatch.setattr(NoSegmenter, "opened", [])
    for part in ("encoder", "decoder"):
        (tmp_path / f"{part}.onnx").write_bytes(part.encode())
    return write_sam2_package(
        store.home.sam2_models / "hiera_tiny-2.1",
        encoder=tmp_path / "encoder.onnx",
        decoder=tmp_path / "decoder.onnx",
        variant="hiera_tiny",
        version="2.1",
        facts={},
    )


@pytest.fixture
def queue(store: Store, dataset_project: ModuleType) -> Any:
    project = dataset_project.fill_project(store, count=3)

    def add(**changes: Any) -> Job:
        payload = {
            "project_id": project.id,
            "model": "hiera_tiny",
            "engine": "onnxruntime",
            "precision": "fp32",
            "cache_folder": "",
            "max_disk_bytes": LIMIT,
        }
        store.jobs.enqueue(EMBED_PROJECT, payload | changes, workspace_id=project.workspace_id)
        job = store.jobs.claim("w", [EMBED_PROJECT])
        assert job is not None
        return job

    return add


def test_photos_lie_where_the_server_finds_them(
    store: Store, package: Sam2Package, queue: Any, dataset_project: ModuleType
) -> None:
    job = queue()
    done = {"total": 3, "there": 0, "embedded": 3, "unreadable": 0}
    assert embed_project(job, "w", store) == done
    assert store.jobs.get(job.id).progress == {**done, "fraction": 1.0}
    assert embed_project(queue(), "w", store) == {**done, "there": 3, "embedded": 0}
    expected = {"engine": "onnxruntime", "precision": "fp32", "cache_folder": store.home.cache}
    assert NoSegmenter.opened == [expected] * 2
    cache = EmbeddingCache(max_bytes=1, folder=store.home.sam2_embeddings, max_disk_bytes=LIMIT)
    owner = owner_of(job.workspace_id, NoSegmenter(package))
    for number in range(3):
        content_id = content_id_of(dataset_project.picture(number))
        assert cache.on_disk(photo_key(owner, content_id))


def test_another_worker_goes_on_where_one_was_stopped(
    store: Store, package: Sam2Package, queue: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed, embedded = NoSegmenter.embed, 0

    def stop_at_the_third(segmenter: NoSegmenter, image: np.ndarray) -> Embedding:
        nonlocal embedded
        embedded += 1
        if embedded == 3:
            raise SystemExit("the worker is told to end")
        return embed(segmenter, image)

    monkeypatch.setattr(NoSegmenter, "embed", stop_at_the_third)
    stopped = queue()
    with pytest.raises(SystemExit):
        embed_project(stopped, "w", store)
    assert store.jobs.get(stopped.id).progress["fraction"] == pytest.approx(2 / 3)
    assert store.jobs.release(stopped.id, "w", counted=False)
    taken = store.jobs.claim("another", [EMBED_PROJECT])
    assert taken is not None
    assert taken.id == stopped.id
    done = {"total": 3, "there": 2, "embedded": 1, "unreadable": 0}
    assert embed_project(taken, "another", store) == done
    assert store.jobs.get(taken.id).progress == {**done, "fraction": 1.0}


def test_what_can_not_be_done_is_told(store: Store, package: Sam2Package, queue: Any) -> None:
    with pytest.raises(NotFound, match="atrous sam2 add hiera_large"):
        embed_project(queue(model="hiera_large"), "w", store)
    with pytest.raises(BadInput, match="keeps no embeddings"):
        embed_project(queue(max_disk_bytes=0), "w", store)
    with pytest.raises(BadInput, match="holds fewer"):
        embed_project(queue(max_disk_bytes=10), "w", store)
    with pytest.raises(NotFound, match="no such project"):
        embed_project(queue(project_id="another"), "w", store)
