"""The networks of SAM 2 as ONNX files, folded so that engines load them at once."""

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
from atrous.export.sam2_photo_terms import PhotoTerms

ENCODER_INPUTS = ("photo",)
EMBEDDING = ("positions", "cells_4", "cells_16")
PROMPTS, EARLIER_MASK = ("point_coords", "point_labels"), ("mask_input", "has_mask_input")
DECODER_INPUTS = (*EMBEDDING, *PROMPTS, *EARLIER_MASK)
DECODER_OUTPUTS = ("low_res_logits", "predicted_iou")


def export_encoder(encoder: nn.Module, path: Path) -> None:
    """Write photo (1, 3, 1024, 1024) -> embedding."""
    photo = torch.zeros(1, 3, SIDE, SIDE)
    _export(encoder, (photo,), None, ENCODER_INPUTS, EMBEDDING, path)


def export_decoder(decoder: nn.Module, path: Path) -> None:
    """Write embedding and any number of prompts, of any number of points -> logits and IoU."""
    many = _any_number_of_prompts()
    shapes: tuple[Any, ...] = ({}, {}, {}, many, many, {}, {})
    _export(decoder, decoder_example(), shapes, DECODER_INPUTS, DECODER_OUTPUTS, path)


def export_for_many(
    photo_side: nn.Module, decoder: nn.Module, terms_path: Path, decoder_path: Path
) -> None:
    """Write what many prompts about a photo have in common, and the decoder for the rest.

    The first: embedding and an earlier mask -> `PhotoTerms`. The second: that and any number of
    prompts, of any number of points -> logits and IoU.
    """
    *embedding, coords, labels, mask, has_mask = decoder_example()
    example = (*embedding, mask, has_mask)
    with torch.no_grad():
        terms = photo_side.cpu().float().eval()(*example)
    _export(photo_side, example, None, (*EMBEDDING, *EARLIER_MASK), PhotoTerms._fields, terms_path)
    many = _any_number_of_prompts()
    shapes = (PhotoTerms(*({} for _ in terms)), many, many)  # type: ignore[arg-type]
    inputs = (*PhotoTerms._fields, *PROMPTS)
    _export(decoder, (terms, coords, labels), shapes, inputs, DECODER_OUTPUTS, decoder_path)


def _any_number_of_prompts() -> dict[int, Any]:
    return {0: Dim("prompts", min=1), 1: Dim("points", min=1)}


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
    example: tuple[Any, ...],
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
