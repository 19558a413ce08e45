import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from atrous.domain.errors import BadPackage
from atrous.domain.geometry import Size
from atrous.domain.recipes import PreprocessRecipe, StaticCrop
from atrous.domain.views import Views
from atrous.packages.directory import ModelPackage
from atrous.runtime import segmenter as segmenter_module
from atrous.runtime.core_budget import CoreBudget
from atrous.runtime.gathering import GatheringSession
from atrous.runtime.processor import available_cores
from atrous.runtime.segmenter import Segmenter, second_bytes

Make = Callable[..., ModelPackage]
PLAIN = PreprocessRecipe(Size(32, 48), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


def quarters(height: int = 60, width: int = 80) -> np.ndarray:
    """Black, red, green and blue quarters."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, width // 2 :, 0] = 255
    image[height // 2 :, : width // 2, 1] = 255
    image[height // 2 :, width // 2 :, 2] = 255
    return image


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("mode", ["stretch", "letterbox"])
@pytest.mark.parametrize("stride", [1, 4])
def test_photo_in_labels_out(engine: str, mode: str, stride: int, make_package: Make) -> None:
    package = make_package(recipe=replace(PLAIN, resize_mode=mode), stride=stride)
    segmenter = Segmenter(package, engine=engine, threads=1)
    assert segmenter.engine == engine
    prediction = segmenter.predict(quarters())
    expected = np.repeat(np.repeat([[0, 1], [2, 3]], 30, axis=0), 40, axis=1)
    assert prediction.label_map.shape == (60, 80)
    assert (prediction.label_map == expected).mean() > 0.93
    assert prediction.label_map[5, 75] == 1
    assert prediction.label_map[55, 5] == 2
    # softmax of (0.5, 4, 0, 0)
    assert prediction.confidence[5, 75] == pytest.approx(0.9385, abs=0.01)
    segmenter.close()


def test_confidence_collapses_to_background(make_package: Make) -> None:
    segmenter = Segmenter(make_package(), threads=1)
    prediction = segmenter.predict(quarters(), confidence=0.95)
    assert prediction.present_class_ids == [0]
    assert not prediction.confidence.any()


def test_static_crop_and_doing_without(make_package: Make) -> None:
    recipe = replace(PLAIN, static_crop=StaticCrop(0.0, 50.0, 0.0, 100.0), grayscale=True)
    segmenter = Segmenter(make_package(recipe=recipe), threads=1)
    assert 3 not in segmenter.predict(quarters()).present_class_ids
    plain = segmenter.predict(quarters(), without=frozenset({"static_crop", "grayscale"}))
    assert plain.present_class_ids == [0, 1, 2, 3]
    assert segmenter.package.preprocess == recipe


def test_size_of_the_network_has_the_last_word(
    make_package: Make, caplog: pytest.LogCaptureFixture
) -> None:
    package = make_package(recipe=replace(PLAIN, size=Size(640, 640)))
    segmenter = Segmenter(package, threads=1)
    assert segmenter.package.preprocess.size == Size(32, 48)
    assert "640x640" in caplog.text
    assert segmenter.predict(quarters()).label_map[55, 5] == 2


def test_network_of_any_size_gets_the_recipes(make_package: Make) -> None:
    recipe = replace(PLAIN, size=Size(40, 24))
    for engine in ("openvino", "onnxruntime"):
        package = make_package(recipe=recipe, shape=("n", 3, "h", "w"))
        assert (
            Segmenter(package, engine=engine, threads=1).predict(quarters()).label_map[5, 75] == 1
        )


def test_misfit_shows_when_loading(make_package: Make) -> None:
    with pytest.raises(BadPackage, match="7 channels"):
        Segmenter(make_package(channels=7), threads=1)


def test_threads_share_a_segmenter(make_package: Make) -> None:
    segmenter = Segmenter(make_package(), threads=1)
    photos = [quarters(20 + 3 * number, 30 + 7 * number) for number in range(6)]
    expected = [segmenter.predict(photo).label_map for photo in photos]
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(10):
            if not np.array_equal(segmenter.predict(photos[number]).label_map, expected[number]):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_recorded_choices_are_used_by_the_next_load(make_package: Make, tmp_path: Path) -> None:
    package, cache = make_package(), tmp_path / "cache"
    first = Segmenter(package, cache_folder=cache)
    [record] = cache.glob("*-engine.json")
    written = record.stat().st_mtime_ns
    second = Segmenter(package, cache_folder=cache)
    assert record.stat().st_mtime_ns == written
    assert (second.engine, second.precision, second.threads) == (
        first.engine,
        first.precision,
        first.threads,
    )
    assert second.predict(quarters()).label_map[5, 75] == 1


@pytest.mark.parametrize(
    "settings", [{"engine": "openvino"}, {"precision": "fp32"}, {"threads": 1}]
)
def test_what_is_named_is_not_measured(
    settings: dict[str, object], make_package: Make, tmp_path: Path
) -> None:
    segmenter = Segmenter(make_package(), cache_folder=tmp_path / "cache", **settings)
    assert segmenter.engine == "openvino"
    assert not list((tmp_path / "cache").glob("*-engine.json"))
    if "precision" in settings:
        assert segmenter.precision == "fp32"


def test_networks_of_one_budget_run_in_turn(make_package: Make) -> None:
    cores = CoreBudget(1)
    segmenters = [Segmenter(make_package(), threads=1, cores=cores) for _ in range(2)]
    running, together = [], []

    @contextmanager
    def note(part: str) -> Iterator[None]:
        running.append(part)
        together.append(running.count("network"))
        yield
        running.remove(part)

    def work(number: int) -> None:
        for _ in range(10):
            segmenters[number % 2].predict(quarters(), timed=note)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(together) == 1


def test_gathered_requests_get_their_own_answers(make_package: Make) -> None:
    package = make_package(shape=("n", 3, 32, 48))
    segmenter = Segmenter(package, engine="onnxruntime", threads=1, gather_ms=2.0)
    assert isinstance(segmenter._session, GatheringSession)
    photos = [quarters(20 + 3 * number, 30 + 7 * number) for number in range(6)]
    alone = [segmenter.predict(photo).label_map for photo in photos]
    with ThreadPoolExecutor(6) as threads:
        together = threads.map(lambda photo: segmenter.predict(photo).label_map, photos)
        for label_map, expected in zip(together, alone, strict=True):
            assert np.array_equal(label_map, expected)


def test_a_crowd_is_answered_two_at_a_time(make_package: Make, tmp_path: Path) -> None:
    waits = False
    segmenter = Segmenter(
        make_package(),
        engine="openvino",
        cache_folder=tmp_path,
        cores=CoreBudget(available_cores()),
        crowded=lambda: waits,
    )
    if available_cores() % 2:
        pytest.skip("an odd number of cores is not halved")
    photos = [quarters(20 + 3 * number, 30 + 7 * number) for number in range(6)]
    alone = [segmenter.predict(photo) for photo in photos]
    assert segmenter.bytes_for_crowds == 0

    waits = True
    segmenter.predict(photos[0])  # nobody waits for the second network
    loader = segmenter._turns._loader
    assert loader is not None
    loader.join(60)
    segmenter.package.weights.unlink()  # as of a model that was removed meanwhile
    assert segmenter.bytes_for_crowds > 0
    both = threading.Barrier(2)

    @contextmanager
    def meet(part: str) -> Iterator[None]:
        if part == "network":
            both.wait(60)  # breaks where they run one after the other
        yield

    with ThreadPoolExecutor(2) as threads:
        together = list(threads.map(lambda photo: segmenter.predict(photo, timed=meet), photos))
    for found, expected in zip(together, alone, strict=True):
        assert np.array_equal(found.label_map, expected.label_map)
        np.testing.assert_allclose(found.confidence, expected.confidence, atol=1e-5)
    segmenter.close()


def test_a_large_network_is_not_loaded_twice(
    make_package: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = make_package()
    needed = second_bytes(package, "bf16")
    assert needed < second_bytes(package, "fp32")
    halved = replace(package, manifest={"export": {"precision": "fp16"}})
    weights = package.weights.stat().st_size
    assert second_bytes(halved, "fp32") == second_bytes(package, "fp32") + weights
    monkeypatch.setattr(segmenter_module, "MOST_SECOND_BYTES", needed - 1)
    segmenter = Segmenter(package, engine="openvino", cache_folder=tmp_path, crowded=lambda: True)
    segmenter.predict(quarters())
    assert segmenter._turns._loader is None
    segmenter.close()


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_without_a_cache_a_crowd_is_answered_one_by_one(make_package: Make, engine: str) -> None:
    segmenter = Segmenter(make_package(), engine=engine, crowded=lambda: True)
    segmenter.predict(quarters())
    assert segmenter._turns._loader is None
    assert segmenter.bytes_for_crowds == 0


def test_nobody_waits_for_others_where_the_graph_takes_one_picture(make_package: Make) -> None:
    segmenter = Segmenter(make_package(), engine="onnxruntime", threads=1, gather_ms=2.0)
    assert not isinstance(segmenter._session, GatheringSession)


def test_several_looks_end_between_two_of_them(make_package: Make) -> None:
    segmenter = Segmenter(make_package(), threads=1)
    looks = 0

    def count() -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            raise TimeoutError

    segmenter.predict(quarters(), views=Views(flip=True), before_look=count)
    assert looks == 2
    with pytest.raises(TimeoutError):
        segmenter.predict(quarters(), views=Views(flip=True), before_look=count)
    assert looks == 3
