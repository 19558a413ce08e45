import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest
import torch
from torch import nn

from atrous.export import sam2_onnx
from atrous.export.sam2_onnx import (
    DECODER_INPUTS,
    DECODER_OUTPUTS,
    EARLIER_MASK,
    EMBEDDING,
    export_encoder,
    fold,
)
from atrous.runtime.prompt_passes import STAGES, TERMS


def names(values: Any) -> tuple[str, ...]:
    return tuple(value.name for value in values)


def shape_of(value: Any) -> Any:
    return value.type.tensor_type.shape.dim


def test_decoder_takes_any_number_of_prompts_and_points(sam2_package: Any) -> None:
    graph = onnx.load(sam2_package.decoder).graph
    assert names(graph.input) == DECODER_INPUTS
    assert names(graph.output) == DECODER_OUTPUTS
    shape = {value.name: shape_of(value) for value in graph.input}
    assert [side.dim_value for side in shape["point_coords"]] == [0, 0, 2]
    assert [side.dim_param for side in shape["point_labels"]] == ["prompts", "points"]


def test_networks_for_many_prompts_fit_each_other(sam2_package: Any) -> None:
    photo_side, *stages = (onnx.load(path).graph for path in sam2_package.for_many)
    assert names(photo_side.input) == (*EMBEDDING, *EARLIER_MASK)
    assert names(photo_side.output) == TERMS
    for graph, stage in zip(stages, STAGES, strict=True):
        assert names(graph.input) == stage.inputs
        assert names(graph.output) == stage.outputs
        assert all(shape_of(value)[0].dim_param == "prompts" for value in graph.input)
    assert [side.dim_param for side in shape_of(stages[0].input[1])] == ["prompts", "points"]
    assert shape_of(stages[1].input[0])[1].dim_param == "tokens"


def test_encoder_is_folded(sam2_package: Any) -> None:
    model = onnx.load(sam2_package.encoder)
    assert names(model.graph.output) == EMBEDDING
    kinds = [node.op_type for node in model.graph.node]
    assert not {"Shape", "Range", "Resize", "Tile", "Sin"} & set(kinds[:50])
    assert {entry.domain for entry in model.opset_import} >= {""}
    assert all(node.domain in ("", "ai.onnx") for node in model.graph.node)


class Constants(nn.Module):
    """Adds what could be computed before."""

    def forward(self, photo: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        grid = torch.arange(1024).sin().reshape(1, 1, 1, 1024)
        return photo + grid, photo * 2, photo * 3


@pytest.mark.filterwarnings("ignore")
def test_nothing_else_is_left_in_the_folder(tmp_path: Path) -> None:
    export_encoder(Constants(), tmp_path / "encoder.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["encoder.onnx"]
    kinds = [node.op_type for node in onnx.load(tmp_path / "encoder.onnx").graph.node]
    assert sorted(kinds) == ["Add", "Mul", "Mul"]
    fold(tmp_path / "encoder.onnx", tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").is_file()


@pytest.mark.parametrize("free", [10, 10**12])
def test_a_full_disk_is_told(tmp_path: Path, free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime speaks of a failed serialization."""

    class Failed(Exception):
        pass

    def fail(*_: Any, **__: Any) -> None:
        raise Failed

    monkeypatch.setattr(sam2_onnx.onnxruntime, "InferenceSession", fail)
    monkeypatch.setattr(sam2_onnx.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    (tmp_path / "raw.onnx").write_bytes(b"x" * 20)
    with pytest.raises(OSError if free == 10 else Failed) as raised:
        fold(tmp_path / "raw.onnx", tmp_path / "folded.onnx")
    assert getattr(raised.value, "errno", None) == (errno.ENOSPC if free == 10 else None)
