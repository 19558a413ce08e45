"""The networks of SAM 2 as ONNX files, folded so that engines load them at once."""

import contextlib
import errno
import io
import os
import shutil
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import onnxruntime  # type: ignore[import-untyped]
import torch
from torch import nn
from torch.export import Dim

from atrous.export.onnx_file import OPSET, quiet_exporter
from atrous.export.sam2_graphs import GRID, MASK_SIDE, SIDE
from atrous.export.sam2_prompt_tokens import PromptTokens
from atrous.runtime.prompt_passes import STAGES, TERMS, stage_shapes

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


def export_photo_terms(photo_side: nn.Module, path: Path) -> None:
    """Write embedding and an earlier mask -> what many prompts about a photo have in common."""
    *embedding, _, _, mask, has_mask = decoder_example()
    inputs = (*EMBEDDING, *EARLIER_MASK)
    _export(photo_side, (*embedding, mask, has_mask), None, inputs, TERMS, path)


def export_prompt_tokens(tokens: PromptTokens, paths: Sequence[Path]) -> None:
    """Write the four stages of many prompts, for any number of them, of any number of points."""
    example = stage_shapes(prompts=3, points=2)
    stages: list[Callable[..., tuple[torch.Tensor, ...]]] = [
        tokens.ask_first,
        tokens.ask_second,
        tokens.ask_last,
        tokens.answer,
    ]
    for stage, (inputs, outputs), path in zip(stages, STAGES, paths, strict=True):
        given = tuple(torch.zeros(example[name]) for name in inputs)
        sizes: tuple[Any, ...] = tuple(_any_number_of_tokens(name) for name in inputs)
        if inputs == PROMPTS:
            given = (given[0], given[1].long())
            sizes = (_any_number_of_prompts(),) * 2
        _export(_Stage(tokens, stage), given, (sizes,), inputs, outputs, path)


class _Stage(nn.Module):
    """A method of a network as one of its own."""

    def __init__(self, network: nn.Module, method: Callable[..., tuple[torch.Tensor, ...]]) -> None:
        super().__init__()
        self.network, self.method = network, method

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.method(*inputs)


def _any_number_of_tokens(name: str) -> dict[int, Any]:
    """What may differ in the shape of a stage's input."""
    prompts, tokens = Dim("prompts", min=1), Dim("tokens", min=1)
    counted = {
        **dict.fromkeys(("seen_3", "scale_3"), ()),
        **dict.fromkeys(("tokens", "said_1", "said_2", "said_3"), (1,)),
        "shares_2": (2, 4),
        "shares_3": (5,),
    }
    return {0: prompts, **dict.fromkeys(counted.get(name, (2,)), tokens)}


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
    try:
        onnxruntime.InferenceSession(str(raw), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        if shutil.disk_usage(path.parent).free < raw.stat().st_size:  # it does not say so itself
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        raise
