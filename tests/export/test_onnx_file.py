import logging
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from atrous.deeplab.network import DeepLab
from atrous.domain.geometry import Size
from atrous.export import onnx_file


def test_input_and_output(exported: Path) -> None:
    graph = onnx.load(exported).graph
    described = {
        value.name: [side.dim_value or side.dim_param for side in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
    assert described == {"image": ["n", 3, 64, 64], "logits": ["n", 4, 64, 64]}


def test_one_file_that_is_valid(exported: Path) -> None:
    assert [path.name for path in exported.parent.iterdir()] == ["weights.onnx"]
    model = onnx.load(exported)
    onnx.checker.check_model(model, full_check=True)
    assert [entry.version for entry in model.opset_import if entry.domain == ""] == [18]


@pytest.mark.parametrize("pictures", [1, 3])
def test_says_what_the_network_says(exported: Path, network: DeepLab, pictures: int) -> None:
    x = torch.randn(pictures, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = network(x).numpy()
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    given = session.run(None, {"image": x.numpy()})[0]
    np.testing.assert_allclose(given, expected, rtol=1e-3, atol=1e-4)
    assert expected.std() > 1e-3


def test_the_exporter_keeps_quiet(monkeypatch, capsys, tmp_path: Path) -> None:
    """Standard output is for what `atrous train` prints last."""
    before = logging.getLogger("torch.onnx").level

    class Program:
        def save(self, path: str, external_data: bool) -> None:
            assert external_data is False

    def export(*_: object, **options: object) -> Program:
        sys.stdout.write("[torch.onnx] Obtain model graph...")
        warnings.warn("something of its own", UserWarning, stacklevel=1)
        logging.getLogger("torch.onnx").warning("something else")
        return Program()

    monkeypatch.setattr(onnx_file.torch.onnx, "export", export)
    onnx_file.export_onnx(torch.nn.Identity(), Size(8, 8), tmp_path / "x.onnx")
    assert capsys.readouterr() == ("", "")
    assert logging.getLogger("torch.onnx").level == before
