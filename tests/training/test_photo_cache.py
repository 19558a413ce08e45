import os
import pickle

import numpy as np
import pytest

from atrous.domain.geometry import Size
from atrous.training import photo_cache
from atrous.training.photo_cache import PhotoCache, cache_bytes

SIZE = Size(6, 8)
BYTES = 6 * 8 * 4


def pair(seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return (
        random.integers(0, 256, (6, 8, 3), dtype=np.uint8),
        random.integers(0, 256, (6, 8), dtype=np.uint8),
    )


def test_what_was_put_is_given_back() -> None:
    cache = PhotoCache(3, SIZE)
    for index in (2, 0):
        cache.put(index, pair(index))
    assert cache.get(1) is None
    assert len(cache) == 2
    for index in (0, 2):
        for kept, given in zip(cache.get(index), pair(index), strict=True):
            assert np.array_equal(kept, given)


@pytest.mark.parametrize(("limit", "room"), [(0, 0), (BYTES - 1, 0), (2 * BYTES, 2), (9999, 3)])
def test_it_is_bounded(limit: int, room: int) -> None:
    cache = PhotoCache(3, SIZE, limit)
    for index in range(3):
        cache.put(index, pair(index))
    assert len(cache) == room
    assert [index for index in range(3) if cache.get(index)] == list(range(room))


@pytest.mark.parametrize(
    ("free_bytes", "trainings", "room_bytes"),
    [(10**9, 1, 10**9 // 4), (10**9, 2, 10**9 // 8), (10**12, 4, photo_cache.CACHE_BYTES)],
)
def test_little_memory_is_left_to_the_network(
    monkeypatch: pytest.MonkeyPatch, free_bytes: int, trainings: int, room_bytes: int
) -> None:
    monkeypatch.setattr(photo_cache, "free_memory_bytes", lambda: free_bytes)
    assert cache_bytes(trainings) == room_bytes


def test_what_another_process_has_read_is_there() -> None:
    cache = PhotoCache(2, SIZE)
    child = os.fork()
    if child == 0:
        cache.put(1, pair(1))
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert np.array_equal(cache.get(1)[0], pair(1)[0])
    assert cache.get(0) is None


def test_a_process_that_is_not_forked_begins_with_none() -> None:
    cache = PhotoCache(3, SIZE, 2 * BYTES)
    cache.put(0, pair(0))
    other = pickle.loads(pickle.dumps(cache))
    assert other.get(0) is None
    assert (other.room, other.size) == (2, SIZE)
