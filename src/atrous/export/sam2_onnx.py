"""The two networks of SAM 2 as ONNX files, folded so that engines load them at once."""

import contextlib
import io
import warnings
from pathlib import Path
from typing import Any

import onnxruntime  # type: ignore[import-untyped]
import torch
from torch import nn
from torch.export import Dim

from atrous.export.onnx_file import OPSET, quiet_exporter
from atrous.export.sam2_graphs import GRID, MASK_SIDE, SIDE

ENCODER_INPUTS = ("photo",)
EMBEDDING = ("positions", "cells_4", "cells_16")
DECODER_INPUTS = (*EMBEDDING, "point_coords", "point_labels", "mask_input", "has_mask_input")
DECODER_OUTPUTS = ("low_res_logits", "predicted_iou")


def export_encoder(encoder: nn.Module, path: Path) -> None:
    """Write photo (1, 3, 1024, 1024) -> embedding."""
    photo = torch.zeros(1, 3, SIDE, SIDE)
    _export(encoder, (photo,), None, ENCODER_INPUTS, EMBEDDING, path)


def export_decoder(decoder: nn.Module, path: Path) -> None:
    """Write embedding and any number of prompts, of any number of points -> logits and IoU."""
    prompts, points = Dim("prompts", min=1), Dim("points", min=1)
    dynamic = {3: {0: prompts, 1: points}, 4: {0: prompts, 1: points}}
    shapes = tuple(dynamic.get(index, {}) for index in range(len(DECODER_INPUTS)))
    _export(decoder, decoder_example(), shapes, DECODER_INPUTS, DECODER_OUTPUTS, path)


def decoder_example(prompts: int = 3, points: int = 2) -> tuple[torch.Tensor, ...]:
    """Inputs of the decoder, of the right shapes and types."""
    return (
        torch.zeros(1, GRID * GRID, 256),
        torch.zeros(1, GRID * GRID, 4, 64),
        torch.zeros(1, GRID * GRID, 16, 32),
        torch.full((prompts, points, 2), 100.0),
        torch.ones(prompts, points, dtype=torch.int64),
        torch.zeros(1, 1, MASK_SIDE, MASK_SIDE),
        torch.zeros(1),
    )


def _export(
    network: nn.Module,
    example: tuple[torch.Tensor, ...],
    dynamic_shapes: Any,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    path: Path,
) -> None:
    # The exporter tells its progress on standard output and warns about its own internals.
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), quiet_exporter():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network.cpu().float().eval(),
            example,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=dynamic_shapes,
            verbose=False,
        )
    assert program is not None  # it is None only where a path is given
    raw = path.with_suffix(".raw.onnx")
    program.save(str(raw), external_data=False)
    fold(raw, path)
    raw.unlink()


def fold(raw: Path, path: Path) -> None:
    """Write the graph with its constants computed: OpenVINO would take minutes to do so."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 3  # errors alone
    onnxruntime.InferenceSession(str(raw), options, providers=["CPUExecutionProvider"])
