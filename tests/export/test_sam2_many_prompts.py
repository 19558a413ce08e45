"""The decoder for many prompts against the one for few, which is compared with transformers'."""

from pathlib import Path
from typing import Any

import pytest
import torch

from atrous.export.sam2_checkpoint import read_sam2_checkpoint
from atrous.export.sam2_graphs import PromptDecoder
from atrous.export.sam2_many_prompts import ManyPromptsDecoder
from atrous.export.sam2_network import build_sam2_network
from atrous.export.sam2_photo_terms import PhotoSide


@pytest.fixture(scope="module")
def network(sam2_checkpoint: Path) -> Any:
    return build_sam2_network("hiera_tiny", read_sam2_checkpoint(sam2_checkpoint))


@pytest.mark.parametrize(("points", "has_mask"), [(2, 0.0), (3, 1.0)])
def test_it_says_what_the_other_decoder_says(network: Any, points: int, has_mask: float) -> None:
    random = torch.Generator().manual_seed(points)
    embedding = [
        torch.randn(shape, generator=random) * 2
        for shape in ((1, 4096, 256), (1, 4096, 4, 64), (1, 4096, 16, 32))
    ]
    coords = torch.rand(3, points, 2, generator=random) * 1024
    labels = torch.randint(0, 4, (3, points), generator=random)
    labels[:, -1] = -1
    mask = torch.randn(1, 1, 256, 256, generator=random) * 5, torch.tensor([has_mask])
    with torch.no_grad():
        logits, scores = PromptDecoder(network)(*embedding, coords, labels, *mask)
        terms = PhotoSide(network)(*embedding, *mask)
        given, given_scores = ManyPromptsDecoder(network)(terms, coords, labels)
    assert logits.std() > 1
    assert (given - logits).abs().max() < 1e-4
    assert (given_scores - scores).abs().max() < 1e-5
