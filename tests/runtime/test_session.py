import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from atrous.domain.errors import BadPackage, MissingDependency
from atrous.domain.geometry import Size
from atrous.runtime.processor import available_cores
from atrous.runtime.session import Engine, Session, open_session

ENGINES: tuple[Engine, ...] = ("openvino", "onnxruntime")
Save = Callable[..., Path]


def batch(count: int = 1, height: int = 32, width: int = 48) -> np.ndarray:
    return np.random.default_rng(3).random((count, 3, height, width)).astype(np.float32)


def expected(photos: np.ndarray) -> np.ndarray:
    """What `color_network` of conftest computes."""
    return np.concatenate([np.full_like(photos[:, :1], 0.5), photos * 4], axis=1)


@pytest.mark.parametrize("engine", ENGINES)
def test_engines_compute_the_network(engine: Engine, save_network: Save) -> None:
    session = open_session(save_network(), engine=engine, precision="fp32", threads=1)
    assert session.engine == engine
    assert session.precision == "fp32"
    assert session.input_size == Size(32, 48)
    assert session.class_count == 4
    logits = session.run(batch())
    assert logits.dtype == np.float32
    assert np.allclose(logits, expected(batch()), atol=1e-5)
    session.close()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("static", [1, 2, "n"])
def test_any_batch_runs_on_any_graph(
    engine: Engine, count: int, static: int | str, save_network: Save
) -> None:
    path = save_network(shape=(static, 3, 32, 48))
    session = open_session(path, engine=engine, precision="fp32", threads=1)
    assert np.allclose(session.run(batch(count)), expected(batch(count)), atol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_sizes_that_the_graph_leaves_open(engine: Engine, save_network: Save) -> None:
    path = save_network(shape=("n", 3, "h", "w"))
    fixed = open_session(path, engine=engine, precision="fp32", threads=1, input_size=Size(16, 24))
    photos = batch(2, 16, 24)
    assert np.allclose(fixed.run(photos), expected(photos), atol=1e-5)
    free = open_session(path, engine=engine, precision="fp32", threads=1)
    assert free.input_size is None
    for height, width in ((16, 24), (8, 8)):
        photos = batch(1, height, width)
        assert np.allclose(free.run(photos), expected(photos), atol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_output_may_be_coarser(engine: Engine, save_network: Save) -> None:
    session = open_session(save_network(stride=4), engine=engine, precision="fp32", threads=1)
    assert np.allclose(session.run(batch()), expected(batch()[:, :, ::4, ::4]), atol=1e-5)


def test_auto_is_openvino_and_says_its_precision(save_network: Save) -> None:
    session = open_session(save_network(), threads=1)
    assert session.engine == "openvino"
    assert session.precision in ("fp32", "bf16", "fp16")
    assert np.abs(session.run(batch()) - expected(batch())).max() < 0.05


def test_without_openvino_onnxruntime_serves_and_the_log_says_so(
    save_network: Save, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    session = open_session(save_network(), threads=1)
    assert session.engine == "onnxruntime"
    assert "OpenVINO is not installed" in caplog.text
    with pytest.raises(MissingDependency, match="pip install openvino"):
        open_session(save_network(), engine="openvino")


@pytest.mark.parametrize("engine", ENGINES)
def test_results_are_not_overwritten_by_the_next_run(engine: Engine, save_network: Save) -> None:
    session = open_session(save_network(), engine=engine, precision="fp32", threads=1)
    first = session.run(batch())
    session.run(batch() * 0)
    assert np.allclose(first, expected(batch()), atol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_lent_results_hold_while_others_run(engine: Engine, save_network: Save) -> None:
    session = open_session(save_network(), engine=engine, precision="fp32", threads=1)
    with session.lend(batch()) as first:
        session.run(batch() * 0)
        assert np.allclose(first, expected(batch()), atol=1e-5)
    with session.lend(batch(3)) as three:
        assert np.allclose(three, expected(batch(3)), atol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_sessions_say_where_they_run(engine: Engine, save_network: Save) -> None:
    session = open_session(save_network(), engine=engine, precision="fp32", threads=1)
    assert isinstance(session, Session)
    assert (session.device, session.threads) == ("cpu", 1)
    assert open_session(save_network(), engine=engine).threads == available_cores()


@pytest.mark.parametrize("engine", ENGINES)
def test_many_threads_get_their_own_answers(engine: Engine, save_network: Save) -> None:
    session = open_session(save_network(), engine=engine, precision="fp32", threads=1)
    wrong: list[int] = []

    def work(number: int) -> None:
        photos = np.full((1, 3, 32, 48), number / 8, np.float32)
        for _ in range(20):
            if not np.allclose(session.run(photos), expected(photos), atol=1e-5):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("engine", ["auto", *ENGINES])
def test_external_data_is_refused(engine: Engine, tmp_path: Path, save_network: Save) -> None:
    path = tmp_path / "external.onnx"
    onnx.save_model(onnx.load(save_network()), path, save_as_external_data=True, size_threshold=0)
    with pytest.raises(BadPackage, match="outside of its ONNX file"):
        open_session(path, engine=engine)


@pytest.mark.parametrize("engine", ["auto", *ENGINES])
def test_broken_networks_are_bad_packages(engine: Engine, save_network: Save) -> None:
    unknown = helper.make_model(
        helper.make_graph(
            [helper.make_node("NoSuchOperator", ["x"], ["y"])],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 8, 8))],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 3, 8, 8))],
        )
    )
    with pytest.raises(BadPackage, match="can't load the network"):
        open_session(save_network(unknown), engine=engine)
    path = save_network()
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(BadPackage):
        open_session(path, engine=engine)
    path.unlink()
    with pytest.raises(BadPackage, match="can't be read"):
        open_session(path, engine=engine)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("shapes", [((1, 1, 8, 8), (1, 1, 8, 8)), ((1, 3, 8), (1, 3, 8))])
def test_shapes_that_are_no_segmentation(
    engine: Engine, shapes: tuple[tuple[int, ...], tuple[int, ...]], save_network: Save
) -> None:
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("Relu", ["x"], ["y"])],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shapes[0])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, shapes[1])],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    with pytest.raises(BadPackage, match=r"expected \(n, 3, height, width\)"):
        open_session(save_network(model), engine=engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_output_that_is_no_logits(engine: Engine, save_network: Save) -> None:
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("Flatten", ["x"], ["y"])],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 8, 8))],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 192))],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    with pytest.raises(BadPackage, match=r"expected logits"):
        open_session(save_network(model), engine=engine)
