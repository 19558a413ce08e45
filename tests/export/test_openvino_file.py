import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import openvino
import pytest

from atrous.domain.errors import ExportRefused, MissingDependency
from atrous.export import openvino_file
from atrous.export.openvino_file import write_openvino
from atrous.runtime.trial_pictures import trial_pictures


@pytest.mark.parametrize("source", ["exported", "quantised"])
def test_it_says_what_the_onnx_file_says(
    source: str, request: pytest.FixtureRequest, tiny: ModuleType, tmp_path: Path
) -> None:
    weights = request.getfixturevalue(source)
    write_openvino(weights, tiny.SIZE, tmp_path / "weights.xml")
    assert {path.name for path in tmp_path.iterdir()} == {"weights.xml", "weights.bin"}
    core, picture = openvino.Core(), trial_pictures(tiny.SIZE)[0]
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    one, other = (
        core.compile_model(path, "CPU", exact)(picture)[0]
        for path in (weights, tmp_path / "weights.xml")
    )
    np.testing.assert_allclose(one, other, atol=1e-4)


def test_another_answer_is_refused(
    exported: Path, tiny: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter((np.ones(4), np.array([1, 1, 1, np.nan])))
    monkeypatch.setattr(openvino_file, "_logits", lambda *_: next(answers))
    with pytest.raises(ExportRefused, match="--format onnx"):
        write_openvino(exported, tiny.SIZE, tmp_path / "weights.xml")


def test_without_openvino_the_remedy_is_said(
    exported: Path, tiny: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingDependency, match="pip install openvino"):
        write_openvino(exported, tiny.SIZE, tmp_path / "weights.xml")
