from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from atrous.domain.errors import BadPackage
from atrous.runtime.onnx_scan import refuse_external_data


def external_tensor(name: str = "w") -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    return tensor


def graph(*nodes: onnx.NodeProto, **tensors: list[object]) -> onnx.GraphProto:
    return helper.make_graph(list(nodes), "g", [], [], **tensors)


def constant(tensor: TensorProto) -> onnx.NodeProto:
    return helper.make_node("Constant", [], ["c"], value=tensor)


def sparse() -> onnx.SparseTensorProto:
    return onnx.SparseTensorProto(values=external_tensor(), dims=[1])


def hidden_places() -> dict[str, onnx.ModelProto]:
    branch = graph(constant(external_tensor()))
    node_with_branch = helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=graph())
    nested = graph(node_with_branch)
    many = helper.make_node("Op", [], ["y"], tensors=[external_tensor()])
    graphs = helper.make_node("Op", [], ["y"], graphs=[branch])
    sparse_node = helper.make_node("Constant", [], ["c"], sparse_value=sparse())
    function = helper.make_function("f", "F", [], ["c"], [constant(external_tensor())], [])
    in_function = helper.make_model(graph(), functions=[function])
    in_training = helper.make_model(graph())
    in_training.training_info.add().initialization.CopyFrom(branch)
    in_algorithm = helper.make_model(graph())
    in_algorithm.training_info.add().algorithm.CopyFrom(branch)
    return {
        "initializer": helper.make_model(graph(initializer=[external_tensor()])),
        "sparse initializer": helper.make_model(graph(sparse_initializer=[sparse()])),
        "constant": helper.make_model(branch),
        "branch": helper.make_model(nested),
        "loop in a branch": helper.make_model(
            graph(helper.make_node("Loop", [], ["y"], body=nested))
        ),
        "tensors": helper.make_model(graph(many)),
        "graphs": helper.make_model(graph(graphs)),
        "sparse constant": helper.make_model(graph(sparse_node)),
        "function": in_function,
        "training": in_training,
        "algorithm": in_algorithm,
    }


@pytest.mark.parametrize("place", hidden_places())
def test_external_data_is_found_everywhere(place: str) -> None:
    with pytest.raises(BadPackage, match="outside of its ONNX file"):
        refuse_external_data(hidden_places()[place].SerializeToString())


def test_location_without_the_external_flag_is_refused_too() -> None:
    tensor = external_tensor()
    tensor.ClearField("data_location")
    model = helper.make_model(graph(initializer=[tensor]))
    with pytest.raises(BadPackage, match="outside"):
        refuse_external_data(model.SerializeToString())


def test_file_that_onnx_wrote_with_external_data(
    tmp_path: Path, save_network: Callable[..., Path]
) -> None:
    model = onnx.load(save_network())
    path = tmp_path / "external.onnx"
    onnx.save_model(model, path, save_as_external_data=True, size_threshold=0)
    with pytest.raises(BadPackage, match="outside"):
        refuse_external_data(path.read_bytes())


def test_whole_file_passes(save_network: Callable[..., Path]) -> None:
    refuse_external_data(save_network().read_bytes())


def test_deep_nesting_needs_no_recursion() -> None:
    inner = graph(constant(external_tensor())).SerializeToString()

    def wrapped(field: int, content: bytes) -> bytes:
        length, size = len(content), b""
        while length > 127:
            size += bytes([length & 127 | 128])
            length >>= 7
        return bytes([field << 3 | 2]) + size + bytes([length]) + content

    for _ in range(2_000):  # attribute.g (6) of a node's attribute (5) of a graph's node (1)
        inner = wrapped(1, wrapped(5, wrapped(6, inner)))
    with pytest.raises(BadPackage, match="outside"):
        refuse_external_data(wrapped(7, inner))


@pytest.mark.parametrize(
    "junk", [b"", b"junk", b"\x08\x07", b"\xff" * 40, b"\x3a\xff\xff\xff\xff\x0f", b"\x3b\x00"]
)
def test_junk_is_no_onnx(junk: bytes) -> None:
    with pytest.raises(BadPackage, match="no ONNX file"):
        refuse_external_data(junk)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=200))
def test_any_bytes_pass_or_are_refused(data: bytes) -> None:
    try:
        refuse_external_data(data)
    except BadPackage:
        return
