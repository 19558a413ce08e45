from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from atrous.export.onnx_layers import (
    classifier,
    depthwise,
    image_pooling,
    is_quantised,
    name_layers,
    takes_float32,
)


@pytest.fixture
def model(exported: Path) -> onnx.ModelProto:
    return onnx.load(exported)


def weights_of(model: onnx.ModelProto, name: str) -> str:
    [node] = [node for node in model.graph.node if node.name == name]
    return node.input[1]


def test_the_classifier_is_found_behind_the_enlargement(model: onnx.ModelProto) -> None:
    assert model.graph.node[-1].op_type == "Resize"
    [name] = classifier(model)
    assert weights_of(model, name) == "head.classify.weight"


def test_no_classifier_where_the_end_is_something_else(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = next(n for n in model.graph.node if n.op_type == "Relu").output[0]
    assert classifier(model) == []


def test_image_pooling_is_the_mean_and_what_reads_it(model: onnx.ModelProto) -> None:
    found = [node for node in model.graph.node if node.name in image_pooling(model)]
    assert {node.op_type for node in found} == {"ReduceMean", "Conv"}
    assert any("aspp" in node.input[1] for node in found if node.op_type == "Conv")
    assert len(found) < len(model.graph.node) / 4


def test_depthwise_layers_are_those_with_a_group_per_channel(model: onnx.ModelProto) -> None:
    found = depthwise(model)
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    assert len(found) > 5
    assert all(shapes[weights_of(model, name)][1] == 1 for name in found)
    assert classifier(model)[0] not in found


def test_layers_without_a_name_get_one() -> None:
    source = helper.make_tensor_value_info("x", TensorProto.FLOAT16, [1, 3, 4, 4])
    target = helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 3, 4, 4])
    scale = numpy_helper.from_array(np.float32(1), "scale")
    nodes = [
        helper.make_node("Relu", ["x"], ["y"]),
        helper.make_node("DequantizeLinear", ["y", "scale"], ["z"], name="kept"),
    ]
    model = helper.make_model(helper.make_graph(nodes, "two", [source], [target], [scale]))
    name_layers(model)
    assert [node.name for node in model.graph.node] == ["Relu_0", "kept"]
    assert is_quantised(model)
    assert not takes_float32(model)


def test_networks_of_ours_take_float32(model: onnx.ModelProto) -> None:
    assert takes_float32(model)
    assert not is_quantised(model)
