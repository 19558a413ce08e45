"""SAM 2's first network: photo -> embedding, in an order that moves few values about."""

from typing import Any

import torch
from torch import Tensor, nn

GRID = 64  # positions of the image embedding per side
NESTED_SIDE = 32  # windows per side while tokens lie window by window
FINE_SIDE = 256  # tokens per side of the first stage


class PhotoEncoder(nn.Module):
    """(1, 3, 1024, 1024) normalised photo -> embedding, in the order in which the decoder reads it.

    All features of one of the 4096 positions lie together: (1, 4096, 256) of the position itself,
    (1, 4096, 4, 64) of the 2x2 cells in it, and (1, 4096, 16, 32) of the 2x2 cells in each of
    those. So the decoder never has to bring millions of values into another order.

    It says what transformers' vision encoder says. The first two stages, whose windows are of 8x8
    and of 4x4 tokens, are computed window by window throughout: tokens are nested (see `nested`),
    so that windows lie together, and the 2x2 tokens that are pooled do, too. Only from the third
    stage on they lie row by row.
    """

    places: Tensor  # buffer

    def __init__(self, network: Any) -> None:
        """Take the parts that see the photo from transformers' Sam2Model."""
        super().__init__()
        trunk, neck = network.vision_encoder.backbone, network.vision_encoder.neck
        self.projection = trunk.patch_embed.projection
        self.blocks = trunk.blocks
        self.ends = trunk.stage_ends  # the number of each stage's last block
        with torch.no_grad():
            places = trunk._get_pos_embed((FINE_SIDE, FINE_SIDE))
            positions = [_as_linear(conv) for conv in neck.convs[:2]]
            # Two convolutions of 1x1 after each other are one.
            cells_4 = joined(neck.convs[2], network.mask_decoder.conv_s1)
            cells_16 = joined(neck.convs[3], network.mask_decoder.conv_s0)
            projections = [three_projections(block.attn) for block in trunk.blocks]
        self.projections = nn.ModuleList(projections)
        self.register_buffer("places", nested(places).clone())
        self.coarse, self.middle = positions
        self.cells_4, self.cells_16 = cells_4, cells_16
        self.no_memory = network.no_memory_embedding

    def forward(self, photo: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Give the features of positions, of their 4 cells, and of their 16 cells."""
        tokens = nested(self.projection(photo).permute(0, 2, 3, 1)) + self.places
        stages = []
        for index, (block, three) in enumerate(zip(self.blocks, self.projections, strict=True)):
            if index <= self.ends[1] + 1:
                tokens = nested_block(block, three, tokens)
            else:
                tokens = block_of_rows(block, three, tokens)
            if index == self.ends[1] + 1:
                tokens = unnested(tokens).reshape(1, GRID, GRID, -1)
            if index in self.ends:
                stages.append(tokens)
        coarse = self.coarse(stages[3])[:, :, None, :, None].expand(-1, -1, 2, -1, 2, -1)
        positions = self.middle(stages[2]) + coarse.reshape(1, GRID, GRID, -1) + self.no_memory
        return (
            positions.reshape(1, GRID * GRID, -1),
            unnested(self.cells_4(stages[1])),
            unnested(self.cells_16(stages[0])),
        )


def nested(grid: Tensor) -> Tensor:
    """(1, side, side, channels), rows of tokens -> (1024 windows, tokens of one, channels).

    Windows lie row by row. In a window, tokens are in the order of halvings: its four quarters,
    the quarters of each, and so on. So pooling 2x2 tokens makes one of four neighbours.
    """
    halvings = (grid.shape[1] // NESTED_SIDE).bit_length() - 1
    twos = (2,) * halvings
    halved = grid.reshape(NESTED_SIDE, *twos, NESTED_SIDE, *twos, -1)
    rows, columns = range(halvings + 1), range(halvings + 1, 2 * halvings + 2)
    order = [axis for pair in zip(rows, columns, strict=True) for axis in pair]
    windows = halved.permute(*order, 2 * halvings + 2)
    return windows.reshape(NESTED_SIDE * NESTED_SIDE, 4**halvings, -1)


def unnested(tokens: Tensor) -> Tensor:
    """(1024 windows, tokens, channels) -> (1, 4096 positions, their cells, channels), row by row.

    A window is 2x2 positions; cells within a position keep their order.
    """
    windows, count, channels = tokens.shape
    cells = count // 4
    grid = tokens.reshape(NESTED_SIDE, NESTED_SIDE, 2, 2, cells * channels)
    return grid.permute(0, 2, 1, 3, 4).reshape(1, 4 * windows, cells, channels)


def _as_linear(conv: Any) -> nn.Linear:
    """A convolution of 1x1 as a matrix."""
    return _linear(conv.weight.flatten(1), conv.bias)


def joined(first: Any, second: Any) -> nn.Linear:
    """Two convolutions of 1x1, one after the other, as one matrix; multiplied in double."""
    matrix = second.weight.flatten(1).double()
    weight = matrix @ first.weight.flatten(1).double()
    bias = matrix @ first.bias.double() + second.bias.double()
    return _linear(weight.float(), bias.float())


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0])
    linear.weight.copy_(weight)
    linear.bias.copy_(bias)
    return linear


def three_projections(attention: Any) -> nn.ModuleList:
    """Queries, keys and values, each by a matrix of its own: nothing has to be split up later."""
    pairs = zip(attention.qkv.weight.chunk(3), attention.qkv.bias.chunk(3), strict=True)
    return nn.ModuleList(_linear(weight, bias) for weight, bias in pairs)


def nested_block(block: Any, projections: Any, tokens: Tensor) -> Tensor:
    """A block whose windows are those in which the tokens lie."""
    normed = block.layer_norm1(tokens)
    residual = tokens
    if block.query_stride:
        residual = _pool_neighbours(block.proj(normed))
    query, key, value = (projection(normed) for projection in projections)
    if block.query_stride:
        query = _pool_neighbours(query)
    seen = residual + block.attn.proj(_attend(block.attn, query, key, value))
    told: Tensor = seen + block.mlp(block.layer_norm2(seen))
    return told


def block_of_rows(block: Any, projections: Any, tokens: Tensor) -> Tensor:
    """A block on tokens (1, height, width, channels) that attend globally or in windows."""
    normed = block.layer_norm1(tokens)
    residual = tokens
    if block.query_stride:
        residual = _pool_squares(block.proj(normed))
    side, window = normed.shape[1], block.window_size or normed.shape[1]
    windows = _in_windows(normed, window)
    query, key, value = (projection(windows) for projection in projections)
    if block.query_stride:
        squares = query.reshape(-1, window, window, query.shape[-1])
        side, window = side // 2, window // 2
        query = _pool_squares(squares).reshape(-1, window * window, query.shape[-1])
    attended = _in_rows(_attend(block.attn, query, key, value), side, window)
    seen = residual + block.attn.proj(attended)
    told: Tensor = seen + block.mlp(block.layer_norm2(seen))
    return told


def _in_windows(rows: Tensor, window: int) -> Tensor:
    """(1, side, side, channels) -> (windows, tokens, channels), filled up with zeros."""
    side, channels = rows.shape[1], rows.shape[-1]
    missing = -side % window
    if missing:
        rows = nn.functional.pad(rows, (0, 0, 0, missing, 0, missing))
    count = (side + missing) // window
    cut = rows.reshape(count, window, count, window, channels).permute(0, 2, 1, 3, 4)
    return cut.reshape(count * count, window * window, channels)


def _in_rows(windows: Tensor, side: int, window: int) -> Tensor:
    """(windows, tokens, channels) -> (1, side, side, channels), without what was filled up."""
    count = -(-side // window)
    cut = windows.reshape(count, count, window, window, -1).permute(0, 2, 1, 3, 4)
    return cut.reshape(1, count * window, count * window, -1)[:, :side, :side]


def _pool_neighbours(tokens: Tensor) -> Tensor:
    """The maximum of every four tokens of (windows, tokens, channels)."""
    windows, count, channels = tokens.shape
    return tokens.reshape(windows, count // 4, 4, channels).amax(dim=2)


def _pool_squares(rows: Tensor) -> Tensor:
    """The maximum of every 2x2 tokens of (n, side, side, channels).

    Rows first, then columns, on three axes each: of more, OpenVINO's kernel is a slow one.
    """
    count, side, _, channels = rows.shape
    flat = rows.reshape(count * side // 2, 2, side * channels).amax(dim=1)
    pooled = flat.reshape(count * (side // 2) ** 2, 2, channels).amax(dim=1)
    return pooled.reshape(count, side // 2, side // 2, channels)


def _attend(attention: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    heads = attention.num_attention_heads
    query, key, value = (
        part.reshape(part.shape[0], part.shape[1], heads, -1).transpose(1, 2)
        for part in (query, key, value)
    )
    seen = nn.functional.scaled_dot_product_attention(query, key, value, scale=attention.scale)
    return seen.transpose(1, 2).flatten(2)
