"""Many prompts, stages and passes together, against the decoder for few.

That one is compared with transformers' in test_sam2_graphs.py.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from atrous.export.sam2_checkpoint import read_sam2_checkpoint
from atrous.export.sam2_graphs import PromptDecoder
from atrous.export.sam2_network import build_sam2_network
from atrous.export.sam2_photo_terms import PhotoSide
from atrous.export.sam2_prompt_tokens import (
    Answers,
    FirstQuestions,
    LastQuestions,
    PromptTokens,
    SecondQuestions,
)
from atrous.runtime.engine_names import PrecisionName
from atrous.runtime.prompt_passes import STAGES, PromptPasses, stage_shapes


@pytest.fixture(scope="module")
def network(sam2_checkpoint: Path) -> Any:
    return build_sam2_network("hiera_tiny", read_sam2_checkpoint(sam2_checkpoint))


@pytest.mark.parametrize(
    ("points", "has_mask", "precision"),
    [(2, 0.0, "fp32"), (3, 1.0, "fp32"), (1, 0.0, "fp32"), (4, 1.0, "fp32"), (2, 0.0, "bf16")],
)
def test_it_says_what_the_other_decoder_says(
    network: Any, points: int, has_mask: float, precision: PrecisionName
) -> None:
    random = torch.Generator().manual_seed(points)
    embedding = [
        torch.randn(shape, generator=random) * 2
        for shape in ((1, 4096, 256), (1, 4096, 4, 64), (1, 4096, 16, 32))
    ]
    coords = torch.rand(3, points, 2, generator=random) * 1024
    labels = torch.randint(0, 4, (3, points), generator=random)
    labels[:, -1] = -1
    mask = torch.randn(1, 1, 256, 256, generator=random) * 5, torch.tensor([has_mask])
    tokens = PromptTokens(network)
    stages = (tokens.ask_first, tokens.ask_second, tokens.ask_last, tokens.answer)

    def run_stage(number: int, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        with torch.no_grad():
            outputs = stages[number](*[torch.from_numpy(given) for given in inputs])
        return [output.numpy() for output in outputs]

    passes = PromptPasses(precision)
    with torch.no_grad():
        expected, expected_scores = PromptDecoder(network)(*embedding, coords, labels, *mask)
        terms = PhotoSide(network)(*embedding, *mask)
    photo = passes.photo([term.detach().numpy() for term in terms])
    logits, scores = passes.answer(photo, coords.numpy(), labels.numpy(), run_stage)
    assert expected.std() > 1
    differences = np.abs(logits - expected.numpy())
    if passes.precision == "bf16":
        assert np.mean((logits >= 0) == (expected.numpy() >= 0)) > 0.99
        assert differences.mean() < 0.05 * expected.std()
    else:
        assert differences.max() < 1e-4
        assert np.abs(scores - expected_scores.numpy()).max() < 1e-5


def test_stages_give_what_the_machine_code_knows_by_these_names_and_shapes(network: Any) -> None:
    tokens = PromptTokens(network)
    stages = (tokens.ask_first, tokens.ask_second, tokens.ask_last, tokens.answer)
    outputs = (FirstQuestions, SecondQuestions, LastQuestions, Answers)
    shapes = stage_shapes(prompts=2, points=3)
    known = {name: torch.zeros(shape) for name, shape in shapes.items()}
    known["point_labels"] = torch.ones(2, 3, dtype=torch.int64)
    for (inputs, names), stage, kind in zip(STAGES, stages, outputs, strict=True):
        assert kind._fields == names
        with torch.no_grad():
            given = stage(*[known[name] for name in inputs])
        assert {name: tuple(value.shape) for name, value in zip(names, given, strict=True)} == {
            name: shapes[name] for name in names
        }
