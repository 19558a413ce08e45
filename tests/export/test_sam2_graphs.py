from pathlib import Path
from typing import Any

import pytest
import torch

from atrous.export.sam2_checkpoint import read_sam2_checkpoint
from atrous.export.sam2_graphs import PromptDecoder, by_position
from atrous.export.sam2_network import build_sam2_network


@pytest.fixture(scope="module")
def network(sam2_checkpoint: Path) -> Any:
    return build_sam2_network("hiera_tiny", read_sam2_checkpoint(sam2_checkpoint))


def flat(features: torch.Tensor) -> torch.Tensor:
    """(1, channels, side, side) -> (side * side, 1, channels), as transformers keeps them."""
    return features.flatten(2).permute(2, 0, 1)


@pytest.mark.parametrize("points", [1, 12])
@pytest.mark.parametrize("with_mask", [False, True])
def test_decoder_says_what_transformers_says(network: Any, points: int, with_mask: bool) -> None:
    random = torch.Generator().manual_seed(points)
    image, fine, finer = (
        torch.randn(1, channels, side, side, generator=random) * 2
        for channels, side in ((256, 64), (64, 128), (32, 256))
    )
    coords = torch.rand(3, points + 1, 2, generator=random) * 1024
    labels = torch.randint(0, 4, (3, points + 1), generator=random)
    labels[:, -1] = -1  # transformers adds this one by itself
    mask = torch.randn(1, 1, 256, 256, generator=random) * 5
    with torch.no_grad():
        logits, scores = PromptDecoder(network)(
            flat(image).transpose(0, 1),
            by_position(flat(fine), 1),
            by_position(flat(finer), 2),
            coords,
            labels,
            mask,
            torch.tensor([float(with_mask)]),
        )
        expected = network(
            image_embeddings=[finer, fine, image],
            input_points=coords[None, :, :-1],
            input_labels=labels[None, :, :-1],
            input_masks=mask if with_mask else None,
            multimask_output=True,
        )
    assert expected.pred_masks.std() > 1
    assert (logits[:, 1:] - expected.pred_masks[0]).abs().max() < 1e-4
    assert (scores[:, 1:] - expected.iou_scores[0]).abs().max() < 1e-5


def test_cells_lie_with_their_position() -> None:
    rows, columns = torch.meshgrid(torch.arange(256), torch.arange(256), indexing="ij")
    places = torch.stack([rows, columns]).float()[None]
    cells = by_position(flat(places), 2)
    assert cells.shape == (1, 4096, 16, 2)
    position = cells[0, 64 * 5 + 7]  # row 5, column 7
    assert position[:, 0].unique().tolist() == [20, 21, 22, 23]
    assert position[:, 1].unique().tolist() == [28, 29, 30, 31]
    assert position[:5].tolist() == [[20, 28], [20, 29], [21, 28], [21, 29], [20, 30]]
