"""Memory stays flat over many different photos: each cache has a bound, and keeps to it.

The encoder is one that draws nothing; everything round it is real, and so are the sizes' rules.
"""

import numpy as np
import pytest

from atrous.domain.geometry import Size
from atrous.sam2.embedding import Embedding

KEPT = 20  # embeddings in memory, and twice as many on the disk
PART = np.zeros((1, 64, 16, 16), np.float16)  # 33 kB; a real one has 256 times as many
EMBEDDING_BYTES = 3 * PART.nbytes
MAX_GROWTH_BYTES = 60_000_000  # a tenth of what 2,000 masks and embeddings would take


@pytest.fixture
def limited(start_sam2, monkeypatch):
    """A server whose caches hold few photos."""
    started = start_sam2(
        sam2_embedding_memory_bytes=KEPT * EMBEDDING_BYTES,
        sam2_embedding_disk_bytes=2 * KEPT * EMBEDDING_BYTES,
        sam2_max_logits_cache_size=KEPT,
    )
    monkeypatch.setattr(type(started.segmenter), "embed", embed)
    return started


def embed(_, image: np.ndarray) -> Embedding:
    return Embedding(Size(*image.shape[:2]), PART.copy(), (PART.copy(), PART.copy()))


def click(sam2, photo, seeds: range) -> None:
    for seed in seeds:
        answer = sam2.segment(
            image=photo(seed, width=40, height=30),
            image_id=f"photo {seed}",
            prompts=[{"points": [{"x": 20, "y": 15, "positive": True}]}],
            format="rle",
            save_logits_to_cache=True,
        )
        assert answer.status_code == 200


def check_bounds(sam2, asked: int) -> None:
    services = sam2.services.sam2
    assert services.embeddings.bytes_in_memory == KEPT * EMBEDDING_BYTES
    assert len(services.embeddings._memory) == KEPT
    assert services.embeddings.bytes_on_disk <= 2 * KEPT * EMBEDDING_BYTES
    assert not services.embeddings._in_work
    assert not services.names_in_work
    assert len(services.logits._logits) == KEPT
    assert sam2.services.waiting_bytes._held == 0
    assert sam2.metric('atrous_sam2_embeddings_total{cache="miss"}') == asked


def test_caches_keep_to_their_bounds(limited, photo) -> None:
    click(limited, photo, range(3 * KEPT))
    check_bounds(limited, 3 * KEPT)


@pytest.mark.slow
def test_memory_is_flat_over_2000_photos(limited, photo, load_beside) -> None:
    own_bytes = load_beside("own_memory").own_bytes
    click(limited, photo, range(200))
    before = own_bytes()
    click(limited, photo, range(200, 2000))
    after = own_bytes()
    assert before is None or after - before < MAX_GROWTH_BYTES
    check_bounds(limited, 2000)
