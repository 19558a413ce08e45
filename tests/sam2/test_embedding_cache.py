import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from atrous.domain.geometry import Size
from atrous.sam2 import embedding_cache
from atrous.sam2.embedding import Embedding
from atrous.sam2.embedding_cache import EmbeddingCache


def embedding(value: float = 0.0, dtype: type = np.float16) -> Embedding:
    """Of 3000 bytes in half precision."""
    part = np.full((1, 5, 10, 10), value, dtype)
    return Embedding(Size(30, 40), part, (part + 1, part + 2))


def value_of(found: Embedding | None) -> float | None:
    return None if found is None else float(found.image_embeddings.flat[0])


def age(folder: Path) -> None:
    """As if nothing there had been used for long."""
    for path in folder.iterdir():
        os.utime(path, (0, 0))


def never() -> Embedding:
    raise AssertionError("it was there")


def test_the_least_recently_used_leaves_memory() -> None:
    cache = EmbeddingCache(max_bytes=7000)
    cache.put("a", embedding(1))
    cache.put("b", embedding(2))
    assert value_of(cache.get("a")) == 1
    cache.put("c", embedding(3))
    assert [value_of(cache.get(key)) for key in "abc"] == [1, None, 3]
    assert cache.bytes_in_memory == 6000
    cache.put("c", embedding(4))
    assert cache.bytes_in_memory == 6000
    cache.clear()
    assert (cache.get("a"), cache.bytes_in_memory) == (None, 0)


def test_one_that_is_larger_than_the_bound_is_kept_alone() -> None:
    cache = EmbeddingCache(max_bytes=10)
    cache.put("a", embedding(1))
    assert value_of(cache.get("a")) == 1
    cache.put("b", embedding(2))
    assert value_of(cache.get("a")) is None


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_the_folder_gives_back_what_was_put(tmp_path: Path, dtype: type) -> None:
    put = embedding(1.5, dtype)
    EmbeddingCache(max_bytes=1, folder=tmp_path, max_disk_bytes=10**6).put("../k\0", put)
    later = EmbeddingCache(max_bytes=10**6, folder=tmp_path, max_disk_bytes=10**6)
    assert later.in_memory("../k\0") is None
    found = later.get("../k\0")
    assert found is not None
    assert found.photo_size == put.photo_size
    pairs = [(found.image_embeddings, put.image_embeddings)]
    pairs += zip(found.high_res_features, put.high_res_features, strict=True)
    for one, other in pairs:
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
    assert later.in_memory("../k\0") is found
    assert later.bytes_on_disk > 3000


def test_the_folder_is_bounded_and_keeps_what_was_used_last(tmp_path: Path) -> None:
    cache = EmbeddingCache(max_bytes=1, folder=tmp_path, max_disk_bytes=13_000)
    for key in "abc":
        cache.put(key, embedding())
    assert cache.in_memory("a") is None
    assert cache.get("a") is not None  # now it was used later than the others
    cache.put("d", embedding())
    assert [cache.on_disk(key) for key in "abcd"] == [True, False, True, True]
    assert cache.bytes_on_disk <= 13_000


def test_what_is_touched_stays_longer(tmp_path: Path) -> None:
    cache = EmbeddingCache(max_bytes=1, folder=tmp_path, max_disk_bytes=10_000)
    for key in "ab":
        cache.put(key, embedding())
    age(tmp_path)
    assert cache.touch("a")
    assert not cache.touch("c")
    cache.put("d", embedding())
    assert [cache.on_disk(key) for key in "abd"] == [True, False, True]


def test_what_is_used_from_memory_stays_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = EmbeddingCache(max_bytes=6000, folder=tmp_path, max_disk_bytes=10_000)
    used = embedding(1)
    cache.put("a", used)
    age(tmp_path)
    [path] = tmp_path.iterdir()
    cache.note_use("a", used)
    assert path.stat().st_mtime == 0  # a minute has not passed
    monkeypatch.setattr(embedding_cache, "NOTE_S", 0.0)
    cache.note_use("a", used)
    assert path.stat().st_mtime > 0
    path.unlink()  # by another process
    cache.note_use("a", used)
    assert value_of(EmbeddingCache(max_bytes=1, folder=tmp_path).get("a")) == 1
    for key in "bc":  # "a" leaves the memory
        cache.put(key, embedding())
    assert set(cache._noted_s) == set(cache._memory) == {"b", "c"}


def test_a_lower_limit_removes_nothing_until_room_is_made(tmp_path: Path) -> None:
    cache = EmbeddingCache(max_bytes=1, folder=tmp_path, max_disk_bytes=13_000)
    cache.put("a", embedding())
    age(tmp_path)
    cache.put("b", embedding())
    lower = EmbeddingCache(max_bytes=1, folder=tmp_path, max_disk_bytes=6_000)
    assert lower.bytes_on_disk == cache.bytes_on_disk > 6_000
    assert lower.on_disk("a")
    lower.make_room()
    assert [lower.on_disk(key) for key in "ab"] == [False, True]
    assert lower.bytes_on_disk <= 6_000


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "foreign", "pickle"])
def test_a_damaged_file_is_absent(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    cache = EmbeddingCache(max_bytes=1, folder=tmp_path, max_disk_bytes=10**6)
    cache.put("a", embedding(1))
    [path] = tmp_path.iterdir()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    if damage == "pickle":
        np.savez(path, photo_size=np.array([object()], object))
    else:
        kinds = {"cut": data[:2000], "changed": data, "empty": b"", "foreign": b"PK no zip"}
        path.write_bytes(kinds[damage])
    later = EmbeddingCache(max_bytes=10**6, folder=tmp_path, max_disk_bytes=10**6)
    if damage in ("cut", "empty", "foreign"):  # what a power cut leaves is seen at once
        assert not later.on_disk("a")
        assert not later.touch("a")
    assert later.get("a") is None
    assert "damaged" in caplog.text
    assert value_of(later.get_or_compute("a", lambda: embedding(2))) == 2
    assert later.on_disk("a")


@pytest.mark.parametrize("failing", [(Path, "read_bytes"), (os, "utime")])
def test_a_passing_error_of_the_system_removes_nothing(
    tmp_path: Path, failing: tuple[object, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = EmbeddingCache(max_bytes=1, folder=tmp_path, max_disk_bytes=10**6)
    cache.put("a", embedding(1))

    def fail(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    later = EmbeddingCache(max_bytes=1, folder=tmp_path, max_disk_bytes=10**6)
    with monkeypatch.context() as broken:
        broken.setattr(*failing, fail)
        found = value_of(later.get("a"))
    assert found == (1 if failing[0] is os else None)
    assert value_of(later.get("a")) == 1


def test_a_full_disk_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "cache"
    cache = EmbeddingCache(max_bytes=10**6, folder=folder, max_disk_bytes=10**6)
    folder.rmdir()
    assert value_of(cache.get_or_compute("a", lambda: embedding(1))) == 1
    assert value_of(cache.get_or_compute("a", never)) == 1
    assert "could not be kept" in caplog.text


def test_many_who_ask_at_once_cause_one_computation() -> None:
    cache = EmbeddingCache(max_bytes=10**6)
    calls, may_end = [], threading.Event()

    def compute() -> Embedding:
        calls.append(1)
        assert may_end.wait(300)
        return embedding(len(calls))

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(cache.get_or_compute, "a", compute) for _ in range(8)]
        may_end.set()
        assert [value_of(one.result()) for one in asked] == [1] * 8
    assert len(calls) == 1


def test_a_failure_is_its_callers_alone_and_is_not_remembered() -> None:
    cache = EmbeddingCache(max_bytes=10**6)
    started, may_fail = threading.Event(), threading.Event()

    def fail() -> Embedding:
        started.set()
        assert may_fail.wait(300)
        raise ValueError("no photo")

    with ThreadPoolExecutor(2) as pool:
        failing = pool.submit(cache.get_or_compute, "a", fail)
        assert started.wait(300)
        waiting = pool.submit(cache.get_or_compute, "a", lambda: embedding(2))
        may_fail.set()
        with pytest.raises(ValueError, match="no photo"):
            failing.result()
        assert value_of(waiting.result()) == 2


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    old, young = tmp_path / "old.tmp", tmp_path / "young.tmp"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    EmbeddingCache(max_bytes=1, folder=tmp_path, max_disk_bytes=10**6)
    assert [path.name for path in tmp_path.iterdir()] == ["young.tmp"]
