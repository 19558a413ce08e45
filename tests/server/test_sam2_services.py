from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atrous.domain.geometry import Size
from atrous.sam2.embedding import Embedding
from atrous.sam2.models import Sam2Package
from atrous.server import sam2_services
from atrous.server.metrics import Metrics
from atrous.server.sam2_services import EMBEDDING_BYTES, open_sam2
from atrous.server.settings import ServerSettings
from atrous.store.home import Home


def test_nothing_is_loaded_and_the_disk_is_used_where_it_may_be(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.create()
    opened = open_sam2(ServerSettings(), home, Metrics())
    assert opened.models.described() == []
    assert home.sam2_embeddings.is_dir()
    opened.image_ids.note("me", "cat", "0" * 40)
    opened.clear()
    assert opened.image_ids.get("me", "cat") is None


def test_without_a_disk_nothing_is_written(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.create()
    opened = open_sam2(ServerSettings(sam2_embedding_disk_bytes=0), home, Metrics())
    opened.image_ids.note("me", "cat", "0" * 40)
    assert not home.sam2_embeddings.exists()


def test_a_lowered_limit_holds_from_the_start(tmp_path: Path) -> None:
    folder = Home(tmp_path).sam2_embeddings
    folder.mkdir(parents=True)
    (folder / "old.npz").write_bytes(b"1234")
    opened = open_sam2(ServerSettings(sam2_embedding_disk_bytes=3), Home(tmp_path), Metrics())
    assert not (folder / "old.npz").exists()
    assert opened.embeddings.bytes_on_disk == 0


@pytest.mark.parametrize(
    ("settings", "embeddings", "masks"),
    [
        ({}, 1024**3, 1000),
        ({"sam2_max_embedding_cache_size": 3}, 3 * EMBEDDING_BYTES, 1000),
        ({"sam2_max_embedding_cache_size": 10**6}, 1024**3, 1000),
        ({"disable_sam2_logits_cache": True}, 1024**3, 0),
    ],
)
def test_bounds_are_those_of_the_settings(
    tmp_path: Path, settings: dict[str, Any], embeddings: int, masks: int
) -> None:
    opened = open_sam2(ServerSettings(**settings), Home(tmp_path), Metrics())
    assert opened.embeddings._max_bytes == embeddings
    assert opened.logits._max_masks == masks


def test_bytes_of_embeddings_are_told_from_the_start_and_after_clearing(tmp_path: Path) -> None:
    folder = Home(tmp_path).sam2_embeddings
    folder.mkdir(parents=True)
    (folder / "earlier.npz").write_bytes(b"1234")
    metrics = Metrics()
    opened = open_sam2(ServerSettings(), Home(tmp_path), metrics)
    features = np.zeros((1, 2, 2), np.float16)
    opened.embeddings.put("photo", Embedding(Size(2, 2), features, (features, features)))
    lines = metrics.as_text().decode().splitlines()
    assert 'atrous_sam2_embedding_bytes{tier="memory"} 24.0' in lines
    assert 'atrous_sam2_embedding_bytes{tier="disk"} 0.0' not in lines
    opened.clear()
    assert 'atrous_sam2_embedding_bytes{tier="memory"} 0.0' in metrics.as_text().decode()


@pytest.mark.parametrize("threads", [1, 2])
def test_models_know_when_clicks_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    opened_with: list[dict[str, Any]] = []

    class Recorded:
        def __init__(self, package: Sam2Package, **settings: Any) -> None:
            opened_with.append(settings)

    monkeypatch.setattr(sam2_services, "InteractiveSegmenter", Recorded)
    opened = open_sam2(ServerSettings(sam2_decoder_threads=threads), Home(tmp_path), Metrics())
    opened.models._open(Sam2Package(tmp_path, "hiera_tiny", "2.1", {}))
    crowded = opened_with[0]["crowded"]
    assert not crowded()
    opened.decoders._waiting["a model"] = deque()
    assert crowded() == (threads > 1)  # one thread answers one after the other, whatever waits


def test_the_size_of_an_embedding_is_known() -> None:
    halves = 256 * 64 * 64 + 64 * 128 * 128 + 32 * 256 * 256
    assert 2 * halves == EMBEDDING_BYTES
