import dataclasses
import gc
import threading
import weakref
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from atrous.domain.errors import BadInput, NotFound
from atrous.packages.directory import ModelPackage
from atrous.runtime.pool import ROUNDING_BYTES, SegmenterPool, bytes_of
from atrous.runtime.segmenter import Segmenter

Make = Callable[..., ModelPackage]


@pytest.fixture
def package(make_package: Make) -> ModelPackage:
    return make_package()


def opened(package: ModelPackage) -> Segmenter:
    return Segmenter(package, engine="onnxruntime", threads=1)


def test_loads_once_and_gives_the_same(package: ModelPackage) -> None:
    loads: Counter[str] = Counter()

    def load(model_id: str) -> ModelPackage:
        loads[model_id] += 1
        return package

    pool = SegmenterPool(load, opened)
    assert pool.loaded() == {}
    assert pool.get("a/1") is pool.get("a/1")
    assert pool.get("b/1") is not pool.get("a/1")
    assert loads == {"a/1": 1, "b/1": 1}
    assert list(pool.loaded()) == ["b/1", "a/1"]


def test_concurrent_gets_load_once(package: ModelPackage) -> None:
    loads, everyone_asks = [], threading.Event()

    def load(model_id: str) -> ModelPackage:
        loads.append(model_id)
        assert everyone_asks.wait(120)
        return package

    pool = SegmenterPool(load, opened)
    with ThreadPoolExecutor(8) as threads:
        answers = [threads.submit(pool.get, "a/1") for _ in range(8)]
        everyone_asks.set()
        assert len({id(answer.result()) for answer in answers}) == 1
    assert loads == ["a/1"]


def test_loading_one_does_not_hold_up_another(package: ModelPackage) -> None:
    release = threading.Event()

    def load(model_id: str) -> ModelPackage:
        assert model_id == "fast/1" or release.wait(120)
        return package

    pool = SegmenterPool(load, opened)
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(pool.get, "slow/1")
        assert pool.get("fast/1").predict(np.zeros((8, 8, 3), np.uint8))
        assert not slow.done()
        assert list(pool.loaded()) == ["fast/1"]
        release.set()
        assert slow.result()


def test_failure_reaches_all_who_wait_and_is_not_remembered(package: ModelPackage) -> None:
    outcomes: list[ModelPackage | NotFound] = [NotFound("gone"), package]
    waiting = threading.Barrier(2, timeout=120)

    def load(model_id: str) -> ModelPackage:
        if len(outcomes) == 2:
            waiting.wait()
        outcome = outcomes.pop(0)
        if isinstance(outcome, NotFound):
            raise outcome
        return outcome

    pool = SegmenterPool(load, opened)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(pool.get, "a/1")
        while "a/1" not in pool._segmenters:
            pass
        future = pool._segmenters["a/1"]
        waiting.wait()
        with pytest.raises(NotFound, match="gone"):
            first.result()
        with pytest.raises(NotFound, match="gone"):
            future.result()
    assert pool.loaded() == {}
    assert pool.get("a/1").package is not None


def test_least_recently_used_is_given_up_and_freed(package: ModelPackage) -> None:
    pool = SegmenterPool(lambda _: package, opened, max_models=2)
    in_use = pool.get("a/1")
    freed = weakref.ref(pool.get("b/1"))
    pool.get("a/1")
    pool.get("c/1")
    gc.collect()
    assert list(pool.loaded()) == ["a/1", "c/1"]
    assert freed() is None
    pool.get("d/1")
    assert "a/1" not in pool.loaded()
    # who still holds an evicted model can finish
    assert in_use.predict(np.zeros((8, 8, 3), np.uint8)).label_map.shape == (8, 8)


def test_pinned_models_stay_until_they_are_removed(package: ModelPackage) -> None:
    pool = SegmenterPool(lambda _: package, opened, max_models=2)
    pool.request("a/1", pinned=True).result()
    for model_id in ("b/1", "c/1", "d/1"):
        pool.get(model_id)
        assert set(pool.loaded()) == {"a/1", model_id}
    assert pool.remove("a/1")
    for model_id in ("a/1", "e/1", "f/1"):
        pool.get(model_id)
    assert list(pool.loaded()) == ["e/1", "f/1"]
    pool.request("a/1", pinned=True).result()
    pool.request("f/1", pinned=True).result()
    pool.get("g/1")  # more than fit: what was just asked for stays
    assert set(pool.loaded()) == {"a/1", "f/1", "g/1"}


def test_bytes_are_bounded_too(package: ModelPackage) -> None:
    sizes = {"small/1": 10, "small/2": 10, "large/1": 35}
    names: dict[int, str] = {}

    def load(model_id: str) -> ModelPackage:
        loaded = dataclasses.replace(package)
        names[id(loaded)] = model_id
        return loaded

    pool = SegmenterPool(
        load,
        opened,
        max_bytes=40,
        bytes_of=lambda segmenter, _: sizes[names[id(segmenter.package)]],
    )
    for model_id in ("small/1", "small/2"):
        pool.get(model_id)
    assert pool.bytes_in_use == 20
    pool.get("small/1")
    pool.get("large/1")
    assert list(pool.loaded()) == ["large/1"]
    assert pool.bytes_in_use == 35
    pool.get("small/1")
    assert list(pool.loaded()) == ["small/1"]
    pool.remove("small/1")
    assert pool.bytes_in_use == 0


def test_one_model_is_kept_whatever_its_size(package: ModelPackage, caplog) -> None:
    pool = SegmenterPool(lambda _: package, opened, max_bytes=1)
    pool.get("a/1")
    assert list(pool.loaded()) == ["a/1"]
    assert "more than the 1 allowed" in caplog.text
    pool.get("b/1")
    assert list(pool.loaded()) == ["b/1"]


def test_memory_is_what_the_process_grew_by_rounded_up(package: ModelPackage) -> None:
    segmenter = opened(package)
    assert bytes_of(segmenter, 5) == ROUNDING_BYTES
    assert bytes_of(segmenter, ROUNDING_BYTES + 1) == 2 * ROUNDING_BYTES
    assert bytes_of(segmenter, -3) == ROUNDING_BYTES  # at least the weights


def test_without_a_measurement_it_is_estimated(package: ModelPackage) -> None:
    assert bytes_of(opened(package)) > 3 * package.weights.stat().st_size


def test_a_load_alone_is_measured_and_two_at_once_are_not(package: ModelPackage) -> None:
    measured: list[int | None] = []
    both = threading.Barrier(2, timeout=120)

    def load(model_id: str) -> ModelPackage:
        if model_id != "alone/1":
            both.wait()
        return package

    def note(_: Segmenter, grown: int | None) -> int:
        measured.append(grown)
        return 1

    pool = SegmenterPool(load, opened, bytes_of=note)
    pool.get("alone/1")
    if Path("/proc/self/status").exists():
        assert isinstance(measured[0], int)
    for future in [pool.request("a/1"), pool.request("b/1")]:
        future.result()
    assert measured[1:] == [None, None]


def test_who_leaves_cancels_nothing_for_others(package: ModelPackage) -> None:
    release = threading.Event()

    def load(model_id: str) -> ModelPackage:
        assert release.wait(120)
        return package

    pool = SegmenterPool(load, opened)
    assert not pool.request("a/1").cancel()
    release.set()
    assert pool.request("a/1").result() is pool.get("a/1")


def test_remove_and_clear(package: ModelPackage) -> None:
    pool = SegmenterPool(lambda _: package, opened)
    first = pool.get("a/1")
    assert pool.remove("a/1")
    assert not pool.remove("a/1")
    assert pool.get("a/1") is not first
    pool.get("b/1")
    pool.clear()
    assert pool.loaded() == {}


def test_model_removed_while_it_loads_stays_removed(package: ModelPackage) -> None:
    pool: SegmenterPool

    def load(model_id: str) -> ModelPackage:
        assert pool.remove(model_id)
        return package

    pool = SegmenterPool(load, opened)
    assert pool.get("a/1").predict(np.zeros((8, 8, 3), np.uint8))
    assert pool.loaded() == {}


def test_a_pool_of_none() -> None:
    with pytest.raises(BadInput, match="at least 1"):
        SegmenterPool(lambda _: pytest.fail("never called"), max_models=0)
