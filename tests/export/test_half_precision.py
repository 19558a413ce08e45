from pathlib import Path
from types import ModuleType

import onnx
import pytest
from onnx import TensorProto

from atrous.domain.errors import BadPackage
from atrous.export.half_precision import halve
from atrous.runtime.agreement import label_agreement
from atrous.runtime.session import open_session
from atrous.runtime.trial_pictures import trial_pictures


@pytest.fixture(scope="module")
def halved(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("halved") / "weights.onnx"
    halve(exported, path)
    return path


def test_half_the_file_whose_ends_stay_float32(halved: Path, exported: Path) -> None:
    assert halved.stat().st_size < 0.6 * exported.stat().st_size
    graph = onnx.load(halved).graph
    kinds = {value.type.tensor_type.elem_type for value in (*graph.input, *graph.output)}
    assert kinds == {TensorProto.FLOAT}
    assert any(tensor.data_type == TensorProto.FLOAT16 for tensor in graph.initializer)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_both_engines_read_it_and_say_the_same(
    halved: Path, exported: Path, tiny: ModuleType, engine: str
) -> None:
    exact = open_session(exported, engine="onnxruntime", precision="fp32")
    half = open_session(halved, engine=engine, precision="fp32")
    for picture in trial_pictures(tiny.SIZE):
        assert label_agreement(exact.run(picture)[0], half.run(picture)[0]) > 0.999
    exact.close()
    half.close()


def test_what_is_not_fp32_is_refused(quantised: Path, tmp_path: Path) -> None:
    with pytest.raises(BadPackage, match="not in fp32"):
        halve(quantised, tmp_path / "half.onnx")
