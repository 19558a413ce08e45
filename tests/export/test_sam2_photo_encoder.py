"""The encoder against transformers' own; that of full size is compared in each conversion."""

from typing import Any

import pytest
import torch
from transformers import Sam2Config, Sam2HieraDetConfig, Sam2Model, Sam2VisionConfig
from transformers.models.sam2.modeling_sam2 import Sam2MultiScaleBlock

from atrous.export.sam2_graphs import by_position
from atrous.export.sam2_photo_encoder import (
    PhotoEncoder,
    block_of_rows,
    joined,
    nested,
    nested_block,
    three_projections,
    unnested,
)


def block(stage: int, index: int, **settings: Any) -> Any:
    """A block of small widths; the first of a stage pools."""
    torch.manual_seed(stage)
    config = Sam2HieraDetConfig(
        embed_dim_per_stage=[8, 16, 24, 32], num_attention_heads_per_stage=[1, 2, 2, 4], **settings
    )
    config._attn_implementation = "sdpa"
    return Sam2MultiScaleBlock(config, stage, index, total_block_idx=index).eval()


def rows(side: int, channels: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(side)
    return torch.randn(1, side, side, channels, generator=generator)


def test_order_of_tokens() -> None:
    row, column = torch.meshgrid(torch.arange(256), torch.arange(256), indexing="ij")
    tokens = nested(torch.stack([row, column], dim=-1).float()[None])
    assert tokens.shape == (32 * 32, 64, 2)
    window = tokens[32 * 3 + 5]  # row 3, column 5
    assert window[:, 0].unique().tolist() == list(range(24, 32))
    assert window[:, 1].unique().tolist() == list(range(40, 48))
    assert window[:6].tolist() == [[24, 40], [24, 41], [25, 40], [25, 41], [24, 42], [24, 43]]
    assert window[16].tolist() == [24, 44]  # the second position


@pytest.mark.parametrize(("side", "halvings"), [(64, 0), (128, 1), (256, 2)])
def test_back_to_positions(side: int, halvings: int) -> None:
    grid = rows(side, 3)
    expected = by_position(grid.reshape(side * side, 1, 3), halvings)
    assert torch.equal(unnested(nested(grid)), expected)


@pytest.mark.parametrize(
    ("stage", "index", "side", "channels"),
    [(0, 0, 256, 8), (1, 0, 256, 8), (1, 1, 128, 16), (2, 0, 128, 16)],
)
def test_block_in_nested_windows(stage: int, index: int, side: int, channels: int) -> None:
    one, grid = block(stage, index), rows(side, channels)
    with torch.no_grad():
        expected = nested(one(grid))
        given = nested_block(one, three_projections(one.attn), nested(grid))
    assert expected.std() > 0.3
    assert (given - expected).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("stage", "index", "side", "channels", "settings"),
    [
        (2, 1, 64, 24, {}),  # windows of 14, filled up
        (2, 1, 64, 24, {"window_size_per_stage": [8, 4, 16, 8]}),
        (2, 1, 16, 24, {"global_attention_blocks": [1]}),
        (3, 0, 64, 24, {}),  # pools in windows that are filled up
        (3, 1, 32, 32, {}),
    ],
)
def test_block_of_rows(
    stage: int, index: int, side: int, channels: int, settings: dict[str, Any]
) -> None:
    one, grid = block(stage, index, **settings), rows(side, channels)
    with torch.no_grad():
        expected = one(grid)
        given = block_of_rows(one, three_projections(one.attn), grid)
    assert expected.std() > 0.3
    assert given.shape == expected.shape
    assert (given - expected).abs().max() < 1e-5


def test_whole_encoder_of_few_channels() -> None:
    """With the windows of hiera_large; every run converts a hiera_tiny, which has the others."""
    widths = [4, 8, 16, 32]
    backbone = Sam2HieraDetConfig(
        hidden_size=4,
        embed_dim_per_stage=widths,
        num_attention_heads_per_stage=[1, 1, 2, 4],
        blocks_per_stage=[2, 2, 2, 2],
        global_attention_blocks=[5],
        window_size_per_stage=[8, 4, 16, 8],
    )
    vision = Sam2VisionConfig(backbone_config=backbone, backbone_channel_list=widths[::-1])
    network: Any = Sam2Model(Sam2Config(vision_config=vision)).eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weights in network.named_parameters():
            if "embed" in name or name.endswith("weight"):  # of places, and of what is not there
                weights.add_(torch.randn_like(weights) * 0.1)
        photo = torch.randn(1, 3, 1024, 1024)
        features = network.get_image_features(photo, return_dict=True).fpn_hidden_states
        given = PhotoEncoder(network)(photo)
    positions = (features[2] + network.no_memory_embedding).transpose(0, 1)
    expected = (positions, by_position(features[1], 1), by_position(features[0], 2))
    for one, other in zip(given, expected, strict=True):
        assert one.shape == other.shape
        assert (one - other).abs().max() < 1e-5 * other.abs().max()


def test_convolutions_joined() -> None:
    first, second = torch.nn.Conv2d(8, 20, 1), torch.nn.Conv2d(20, 6, 1)
    grid = rows(16, 8)
    with torch.no_grad():
        expected = second(first(grid.permute(0, 3, 1, 2))).permute(0, 2, 3, 1)
        assert (joined(first, second)(grid) - expected).abs().max() < 1e-6
