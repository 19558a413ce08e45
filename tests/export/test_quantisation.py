import subprocess
import sys
from pathlib import Path
from types import ModuleType

import onnx
import pytest

from atrous.domain.errors import BadPackage, MissingDependency
from atrous.export.onnx_layers import classifier
from atrous.export.quantisation import SPARING, quantise
from atrous.runtime.agreement import label_agreement
from atrous.runtime.session import open_session
from atrous.runtime.trial_pictures import trial_pictures

FLOAT, INT8 = "fp32", "int8"


def quantised_inputs(path: Path) -> dict[str, bool]:
    """By convolution, whether it reads dequantised values."""
    model = onnx.load(path)
    makers = {output: node.op_type for node in model.graph.node for output in node.output}
    return {
        node.name: makers.get(node.input[0]) == "DequantizeLinear"
        for node in model.graph.node
        if node.op_type == "Conv"
    }


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_both_engines_read_it_and_say_the_same(
    quantised: Path, exported: Path, tiny: ModuleType, engine: str
) -> None:
    exact = open_session(exported, engine="onnxruntime", precision="fp32")
    fast = open_session(quantised, engine=engine, precision="fp32")
    assert (exact.precision, fast.precision) == (FLOAT, INT8)
    pictures = trial_pictures(tiny.SIZE)
    agreements = [label_agreement(exact.run(one)[0], fast.run(one)[0]) for one in pictures]
    exact.close()
    fast.close()
    assert min(agreements) > 0.9


def test_convolutions_and_their_weights_are_in_int8(quantised: Path) -> None:
    inputs = quantised_inputs(quantised)
    assert sum(inputs.values()) > 0.8 * len(inputs)  # all but those of squeeze-and-excitation
    model = onnx.load(quantised)
    makers = {output: node for node in model.graph.node for output in node.output}
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    for node in model.graph.node:
        if inputs.get(node.name):
            assert kinds[makers[node.input[1]].input[0]] == onnx.TensorProto.INT8


def test_what_is_spared_stays_in_fp32_and_nothing_is_printed(
    exported: Path, tiny: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "spared.onnx"
    quantise(exported, trial_pictures(tiny.SIZE)[:1], lambda picture: picture, target, SPARING[2])
    [last] = classifier(onnx.load(exported))
    inputs = quantised_inputs(target)
    assert not inputs[last]
    assert 0 < sum(inputs.values()) < len(inputs) - 5
    assert capfd.readouterr().out == ""


def test_a_network_that_is_in_int8_already_is_refused(quantised: Path, tmp_path: Path) -> None:
    with pytest.raises(BadPackage, match="in int8 already"):
        quantise(quantised, [], lambda picture: picture, tmp_path / "twice.onnx")


def test_without_nncf_the_remedy_is_said(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(MissingDependency, match=r"atrous\[export\]"):
        quantise(exported, [], lambda picture: picture, tmp_path / "none.onnx")


def test_nothing_is_sent_to_its_makers() -> None:
    """In a process of its own: in one that runs pytest NNCF never sends anything."""
    code = (
        "from atrous.export.quantisation import import_nncf; import_nncf(); "
        "from nncf.telemetry.wrapper import telemetry; print(type(telemetry).__name__)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "MagicMock"
