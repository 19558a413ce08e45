import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from atrous.domain.errors import BadInput, BadPackage
from atrous.runtime.engine_names import EngineName
from atrous.sam2.engine import KeptGraph, Network, open_network

ENGINES: list[EngineName] = ["openvino", "onnxruntime"]


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """(features * weight, labels as numbers), for any number of rows."""
    nodes = [
        helper.make_node("MatMul", ["features", "weight"], ["product"]),
        helper.make_node("Cast", ["labels"], ["numbers"], to=TensorProto.FLOAT),
    ]
    weight = helper.make_tensor("weight", TensorProto.FLOAT, (2, 2), [1.0, 0.0, 0.0, 3.0])
    body = helper.make_graph(
        nodes,
        "test",
        [
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", 2]),
            helper.make_tensor_value_info("labels", TensorProto.INT64, ["rows"]),
        ],
        [
            helper.make_tensor_value_info("product", TensorProto.FLOAT, ["rows", 2]),
            helper.make_tensor_value_info("numbers", TensorProto.FLOAT, ["rows"]),
        ],
        [weight],
    )
    path = tmp_path / "graph.onnx"
    onnx.save(
        helper.make_model(body, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path
    )
    return path


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("half_inputs", [0, 1])
def test_inputs_and_outputs_keep_their_order(
    graph: Path, engine: EngineName, half_inputs: int
) -> None:
    network = open_network(graph, engine=engine, threads=1, half_inputs=half_inputs)
    assert isinstance(network, Network)
    assert (network.engine, network.precision) == (engine, "fp32")
    for rows in (1, 3, 0):
        features = np.full((rows, 2), 2.0, np.float16 if half_inputs else np.float32)
        product, numbers = network.run([features, np.full(rows, -1)])
        assert product.dtype == np.float32
        assert product.tolist() == [[2.0, 6.0]] * rows
        assert numbers.tolist() == [-1.0] * rows
    network.close()


def test_runs_go_side_by_side(graph: Path) -> None:
    network = open_network(graph, threads=1, side_by_side=2)
    assert network._compiled.get_property("NUM_STREAMS") == 2
    assert network._compiled.get_property("INFERENCE_NUM_THREADS") == 2
    product, _ = network.run([np.ones((1, 2), np.float32), np.zeros(1, np.int64)])
    assert product.tolist() == [[1.0, 3.0]]
    network.close()


@pytest.mark.parametrize("engine", ENGINES)
def test_shapes_may_be_fixed(graph: Path, engine: EngineName) -> None:
    network = open_network(graph, engine=engine, fixed_shapes={"features": (2, 2), "labels": (2,)})
    product, _ = network.run([np.ones((2, 2), np.float32), np.zeros(2, np.int64)])
    assert product.tolist() == [[1.0, 3.0]] * 2
    network.close()


@pytest.mark.parametrize("engine", ENGINES)
def test_answers_are_not_overwritten_by_later_runs(graph: Path, engine: EngineName) -> None:
    network = open_network(graph, engine=engine)
    first = network.run([np.ones((1, 2), np.float32), np.zeros(1, np.int64)])[0]
    network.run([np.full((1, 2), 7.0, np.float32), np.zeros(1, np.int64)])
    assert first.tolist() == [[1.0, 3.0]]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "spoil", [lambda path: path.unlink(), lambda path: path.write_bytes(b"no graph")]
)
def test_unreadable_graph_is_refused(
    graph: Path, engine: EngineName, spoil: Callable[[Path], object]
) -> None:
    spoil(graph)
    with pytest.raises(BadPackage):
        open_network(graph, engine=engine)


def test_precision_must_be_one_that_the_engine_has(graph: Path) -> None:
    with pytest.raises(BadInput, match="bf16"):
        open_network(graph, engine="onnxruntime", precision="bf16")
    with pytest.raises(BadInput, match="fp32 or bf16"):
        open_network(graph, precision="auto")


def test_a_kept_graph_stays_what_it_was_until_nobody_needs_it(tmp_path: Path) -> None:
    (tmp_path / "decoder.onnx").write_bytes(b"first")
    graph = KeptGraph(tmp_path / "decoder.onnx")
    handle = graph._handle
    (tmp_path / "newer").write_bytes(b"second")
    (tmp_path / "newer").replace(tmp_path / "decoder.onnx")
    assert (graph.name, graph.read_bytes(), graph.read_bytes()) == ("decoder.onnx", *[b"first"] * 2)
    del graph
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(handle)
    with pytest.raises(BadPackage, match=r"gone\.onnx can't be read"):
        KeptGraph(tmp_path / "gone.onnx")
