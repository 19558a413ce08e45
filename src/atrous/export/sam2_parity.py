"""Do the exported networks say what transformers' SAM 2 says? Measured, and insisted on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
import torch

from atrous.domain.errors import ExportRefused
from atrous.domain.geometry import Size
from atrous.export.sam2_graphs import MASK_SIDE, SIDE, by_position
from atrous.export.sam2_onnx import (
    DECODER_INPUTS,
    EARLIER_MASK,
    EMBEDDING,
    ENCODER_INPUTS,
)
from atrous.runtime.prompt_passes import STAGES, PromptPasses
from atrous.runtime.trial_pictures import trial_pictures

MOST_EMBEDDING_DIFFERENCE = 1e-4  # as a share of the largest value
MOST_LOGIT_DIFFERENCE = 1e-4  # as a share of the largest value
MOST_IOU_DIFFERENCE = 1e-4
NO_POINT = -1


@dataclass(frozen=True)
class Sam2Parity:
    """Largest differences of torch and ONNX Runtime, both in fp32, on trial photos and prompts."""

    embedding: float
    embedding_relative: float  # to the largest value
    logits: float
    logits_relative: float
    predicted_iou: float


@dataclass(frozen=True, eq=False)
class _Trial:
    """Prompts of as many points: coordinates, labels, and an earlier mask."""

    coords: torch.Tensor  # (prompts, points, 2)
    labels: torch.Tensor  # (prompts, points)
    mask: torch.Tensor | None  # (1, 1, 256, 256)


def measure_sam2_parity(
    network: Any, encoder: Path, decoder: Path, for_many: Sequence[Path]
) -> Sam2Parity:
    """Encode a trial photo and prompt it: one click, many prompts of several points, a mask.

    Both decoders are asked, the one for few prompts and what there is for many.
    """
    photo = torch.from_numpy(trial_pictures(Size(SIDE, SIDE))[-1])
    with torch.no_grad():
        high_256, high_128, embeddings = network.get_image_embeddings(photo)
    expected = [
        by_position(_sequence(part), halvings).numpy().reshape(shape)
        for part, halvings, shape in (
            (embeddings, 0, (1, -1, 256)),
            (high_128, 1, (1, -1, 4, 64)),
            (high_256, 2, (1, -1, 16, 32)),
        )
    ]
    given = _run(encoder, ENCODER_INPUTS, [photo.numpy()])
    largest = max(float(np.abs(part).max()) for part in expected)
    embedding = _largest_difference(expected, given)
    logits, largest_logit, iou = 0.0, 0.0, 0.0
    passes = PromptPasses("fp32")

    def run_stage(number: int, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        return _run(for_many[1 + number], STAGES[number].inputs, inputs)

    for trial in _trials():
        with torch.no_grad():
            answer = network(
                image_embeddings=[high_256, high_128, embeddings],
                input_points=trial.coords[None, :, :-1],  # transformers adds the last one itself
                input_labels=trial.labels[None, :, :-1],
                input_masks=trial.mask,
                multimask_output=True,
            )
        masks, scores_of_torch = answer.pred_masks[0].numpy(), answer.iou_scores[0].numpy()
        largest_logit = max(largest_logit, float(np.abs(masks).max()))
        (coords, labels), mask = _decoder_inputs(trial)
        terms = _run(for_many[0], (*EMBEDDING, *EARLIER_MASK), [*given, *mask])
        for four, scores in (
            _run(decoder, DECODER_INPUTS, [*given, coords, labels, *mask]),
            passes.answer(passes.photo(terms), coords, labels, run_stage),
        ):
            # Not the built-in max, which would drop a nan.
            logits = float(np.maximum(logits, np.abs(masks - four[:, 1:]).max()))
            iou = float(np.maximum(iou, np.abs(scores_of_torch - scores[:, 1:]).max()))
    return Sam2Parity(embedding, embedding / largest, logits, logits / largest_logit, iou)


def insist_on_parity(parity: Sam2Parity) -> None:
    """Raise ExportRefused unless the networks agree."""
    # A comparison with nan is false: written so that nan is refused, too.
    agrees = (
        parity.embedding_relative <= MOST_EMBEDDING_DIFFERENCE
        and parity.logits_relative <= MOST_LOGIT_DIFFERENCE
        and parity.predicted_iou <= MOST_IOU_DIFFERENCE
    )
    if not agrees:
        raise ExportRefused(
            f"the converted networks differ from the checkpoint's: {parity}; nothing was stored. "
            "Convert again with another version of torch, transformers or onnxruntime"
        )


def _trials() -> list[_Trial]:
    random = torch.Generator().manual_seed(0)

    def trial(prompts: int, labels: list[int], with_mask: bool = False) -> _Trial:
        coords = torch.rand(prompts, len(labels), 2, generator=random) * SIDE
        mask = torch.randn(1, 1, MASK_SIDE, MASK_SIDE, generator=random) * 5 if with_mask else None
        return _Trial(coords, torch.tensor([labels] * prompts), mask)

    click, box = [1, NO_POINT], [2, 3, 1, 0, NO_POINT]
    return [trial(1, click), trial(5, box), trial(2, click, with_mask=True)]


def _sequence(features: torch.Tensor) -> torch.Tensor:
    """(1, channels, side, side) -> (side * side, 1, channels)."""
    return features.flatten(2).permute(2, 0, 1)


def _decoder_inputs(trial: _Trial) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The prompts, and the earlier mask."""
    mask = torch.zeros(1, 1, MASK_SIDE, MASK_SIDE) if trial.mask is None else trial.mask
    has_mask = np.array([trial.mask is not None], np.float32)
    return [trial.coords.numpy(), trial.labels.numpy()], [mask.numpy(), has_mask]


def _run(graph: Path, names: tuple[str, ...], inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    outputs: list[np.ndarray] = session.run(None, dict(zip(names, inputs, strict=True)))
    return outputs


def _largest_difference(expected: list[np.ndarray], given: list[np.ndarray]) -> float:
    pairs = zip(expected, given, strict=True)
    return float(np.max([np.abs(one - other).max() for one, other in pairs]))
