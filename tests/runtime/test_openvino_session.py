import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from atrous.domain.errors import BadPackage
from atrous.domain.geometry import Size
from atrous.runtime import openvino_session
from atrous.runtime.openvino_session import OpenVinoSession, offers_bf16

Save = Callable[..., Path]
PHOTOS = np.random.default_rng(3).random((1, 3, 32, 48)).astype(np.float32)


def opened(weights: Path, **settings: object) -> OpenVinoSession:
    return OpenVinoSession(weights, **{"precision": "fp32", "threads": 1, **settings})


def test_a_compiled_network_is_read_and_answers_the_same(
    tmp_path: Path, save_network: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, cache = save_network(), tmp_path / "new" / "cache"
    plain = opened(weights).run(PHOTOS)
    assert np.array_equal(opened(weights, cache_folder=cache).run(PHOTOS), plain)
    [kept] = cache.iterdir()
    monkeypatch.setattr(
        openvino_session, "_compile", lambda *_: pytest.fail("it is compiled already")
    )
    again = opened(weights, cache_folder=cache)
    assert np.array_equal(again.run(PHOTOS), plain)
    assert (again.input_size, again.class_count, again.precision) == (Size(32, 48), 4, "fp32")
    assert list(cache.iterdir()) == [kept]


def test_threads_are_chosen_anew_for_a_compiled_network(tmp_path: Path, save_network: Save) -> None:
    weights = save_network()
    for threads in (1, 2):
        session = opened(weights, cache_folder=tmp_path / "cache", threads=threads)
        assert session.threads == threads
        streams = session._compiled.get_property("NUM_STREAMS")
        assert session._compiled.get_property("INFERENCE_NUM_THREADS") == threads * streams
    assert len(list((tmp_path / "cache").iterdir())) == 1


def with_a_turned_byte(kept: bytes) -> bytes:
    middle = len(kept) // 2
    return kept[:middle] + bytes([kept[middle] ^ 255]) + kept[middle + 1 :]


@pytest.mark.parametrize("damage", [lambda kept: kept[:40], lambda kept: b"", with_a_turned_byte])
def test_a_compiled_network_that_is_damaged_is_made_anew(
    tmp_path: Path,
    save_network: Save,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[bytes], bytes],
) -> None:
    weights, cache = save_network(), tmp_path / "cache"
    opened(weights, cache_folder=cache).close()
    [kept] = cache.iterdir()
    good = kept.read_bytes()
    kept.unlink()  # not written over: it may still be mapped
    kept.write_bytes(damage(good))
    session = opened(weights, cache_folder=cache)
    assert "made anew" in caplog.text
    assert np.allclose(session.run(PHOTOS)[0, 1], 4 * PHOTOS[0, 0], atol=1e-5)
    caplog.clear()
    opened(weights, cache_folder=cache).close()
    assert not caplog.records  # what was made is whole


def test_a_folder_that_can_not_be_written_keeps_no_network_from_running(
    tmp_path: Path, save_network: Save, caplog: pytest.LogCaptureFixture
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    session = opened(save_network(), cache_folder=in_the_way / "cache")
    assert np.allclose(session.run(PHOTOS)[0, 1], 4 * PHOTOS[0, 0], atol=1e-5)
    assert "compiled anew at each start" in caplog.text


def test_sizes_and_precisions_are_kept_apart(tmp_path: Path, save_network: Save) -> None:
    weights, cache = save_network(shape=("n", 3, "h", "w")), tmp_path / "cache"
    sizes = (Size(16, 24), Size(8, 8))
    for size in (*sizes, *sizes):
        assert opened(weights, cache_folder=cache, input_size=size).input_size == size
    free = opened(weights, cache_folder=cache)
    assert free.input_size is None
    assert free.run(PHOTOS).shape == (1, 4, 32, 48)
    assert len(list(cache.iterdir())) == 3


def test_a_bad_network_leaves_nothing_in_the_cache(tmp_path: Path, save_network: Save) -> None:
    weights = save_network()
    weights.write_bytes(weights.read_bytes()[:-30])
    with pytest.raises(BadPackage):
        opened(weights, cache_folder=tmp_path / "cache")
    assert not list(tmp_path.glob("cache/*"))


def test_quantised_networks_say_int8_where_they_are_computed_so(save_network: Save) -> None:
    model = onnx.load(save_network())
    graph = model.graph
    graph.initializer.append(numpy_helper.from_array(np.float32(0.02), "s"))
    for name, kind in (("photo", np.uint8), ("w", np.int8)):
        graph.initializer.append(numpy_helper.from_array(np.zeros((), kind), f"{name}_z"))
        nodes = [
            helper.make_node("QuantizeLinear", [name, "s", f"{name}_z"], [f"{name}_q"]),
            helper.make_node("DequantizeLinear", [f"{name}_q", "s", f"{name}_z"], [f"{name}_d"]),
        ]
        graph.node[-1].input[0 if name == "photo" else 1] = f"{name}_d"
        for node in reversed(nodes):
            graph.node.insert(0, node)
    session = opened(save_network(model))
    assert openvino_session.kinds_of_layers(session._compiled) & {"i8", "u8"}
    assert session.precision == "int8"


def test_bf16_is_offered_only_with_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    for offered in (["FP32", "BF16", "INT8"], ["FP32", "INT8"]):
        core = SimpleNamespace(get_property=lambda *_, offered=offered: offered)
        monkeypatch.setattr(openvino_session, "_shared_core", lambda core=core: core)
        assert offers_bf16() == ("BF16" in offered)
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert not offers_bf16()


@pytest.mark.skipif(not offers_bf16(), reason="this processor has no bf16")
def test_bf16_is_named_and_nearly_the_same(save_network: Save) -> None:
    session = opened(save_network(), precision="bf16")
    assert session.precision == "bf16"
    assert np.abs(session.run(PHOTOS)[0, 1] - 4 * PHOTOS[0, 0]).max() < 0.05
