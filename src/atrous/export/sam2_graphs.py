"""SAM 2's second network: embedding and prompts -> masks."""

from typing import Any

import torch
from torch import Tensor, nn

SIDE = 1024  # pixels of the network's square input
GRID = 64  # positions of the image embedding per side
MASK_SIDE = 256  # pixels of the low-resolution masks
ANSWERING = slice(1, 6)  # among the tokens: predicted IoU, and four masks


def by_position(sequence: Tensor, halvings: int) -> Tensor:
    """(side * side, 1, channels), row by row -> (1, 4096, 4**halvings, channels).

    Cells are in the order of two halvings: quarter of the position, then quarter of the quarter.
    """
    twos = (2,) * halvings
    grid = sequence.reshape(GRID, *twos, GRID, *twos, -1)
    rows, columns = range(halvings + 1), range(halvings + 1, 2 * halvings + 2)
    order = [axis for pair in zip(rows, columns, strict=True) for axis in pair]
    cells = grid.permute(*order, 2 * halvings + 2)
    return cells.reshape(1, GRID * GRID, 4**halvings, -1)


class PromptDecoder(nn.Module):
    """Embedding and prompts -> four masks per prompt and their predicted IoU.

    It says what transformers' mask decoder says, and is ordered for many prompts about one photo:
    what the first layer makes of the photo alone is computed once, products of three matrices are
    taken in the order that is cheap for few tokens and 4096 positions (with 8 tokens, which is one
    click, a prompt takes half the multiplications), and only the finished masks are brought from
    the order of positions and their cells into that of rows and columns.
    """

    positions: Tensor  # buffers
    output_tokens: Tensor
    row_by_row: Tensor
    prompts: Any  # parts of transformers' network, which says no types
    decoder: Any

    def __init__(self, network: Any) -> None:
        """Take the parts that see prompts from transformers' Sam2Model."""
        super().__init__()
        self.prompts = network.prompt_encoder
        self.decoder = decoder = network.mask_decoder
        with torch.no_grad():
            positions = network.get_image_wide_positional_embeddings()
            outputs = [decoder.obj_score_token, decoder.iou_token, decoder.mask_tokens]
            tokens = torch.cat([output.weight for output in outputs])
        self.register_buffer("positions", positions.flatten(2).transpose(1, 2).clone())
        self.register_buffer("output_tokens", tokens[None].clone())
        cells = torch.arange(MASK_SIDE * MASK_SIDE).reshape(GRID, GRID, 2, 2, 2, 2)
        # From row and column of the position, of its quarter, and of the quarter's quarter
        self.register_buffer("row_by_row", cells.permute(0, 2, 4, 1, 3, 5).flatten())

    def forward(
        self,
        positions: Tensor,
        cells_4: Tensor,
        cells_16: Tensor,
        point_coords: Tensor,
        point_labels: Tensor,
        mask_input: Tensor,
        has_mask_input: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Give logits (prompts, 4, 256, 256) and predicted IoU (prompts, 4).

        positions, cells_4, cells_16: the embedding, see `sam2_photo_encoder.PhotoEncoder`.
        point_coords: (prompts, points, 2), x and y in the 1024x1024 input.
        point_labels: (prompts, points): 1 on the object, 0 off it, 2 and 3 the corners of a box,
            -1 no point.
        mask_input: (1, 1, 256, 256) logits, for all prompts; has_mask_input: (1,), 1 or 0.
        """
        tokens = self.tokens_of(point_coords, point_labels)
        image = positions + self.earlier_mask(mask_input, has_mask_input)
        tokens, image = self._transform(tokens, image)
        return self._masks(tokens, image, cells_4, cells_16)

    def tokens_of(self, point_coords: Tensor, point_labels: Tensor) -> Tensor:
        """(prompts, tokens, 256): those that answer, and one for each point."""
        points = self.prompts._embed_points(point_coords[:, None], point_labels[:, None], pad=False)
        outputs = self.output_tokens.expand(point_coords.shape[0], -1, -1)
        return torch.cat([outputs, points[:, 0]], dim=1)

    def earlier_mask(self, mask: Tensor, has_mask: Tensor) -> Tensor:
        """(1, 4096, 256): what an earlier mask, or that there is none, adds to the photo."""
        embed = self.prompts.mask_embed
        embedded = embed.activation(embed.layer_norm1(embed.conv1(mask)))
        embedded = embed.activation(embed.layer_norm2(embed.conv2(embedded)))
        last = embed.conv3
        embedded = nn.functional.linear(
            embedded.flatten(2).transpose(1, 2), last.weight.flatten(1), last.bias
        )
        without = self.prompts.no_mask_embed.weight[None]
        return torch.where(has_mask.reshape(1, 1, 1) > 0, embedded, without)

    def _transform(self, tokens: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """The two-way transformer: tokens look at the photo, and the photo at the tokens.

        Give what the tokens of the predicted IoU and of the masks say at last; nobody reads the
        others (whether there is an object, and the points), so these don't look a last time.
        """
        transformer = self.decoder.transformer
        queries, keys = tokens, image
        for layer in transformer.layers:
            if layer.skip_first_layer_pe:
                queries = self_attention(layer.self_attn, queries, queries)
            else:
                asked = queries + tokens
                queries = queries + self_attention(layer.self_attn, asked, queries)
            queries = layer.layer_norm1(queries)
            placed = keys + self.positions
            seen = _tokens_to_image(layer.cross_attn_token_to_image, queries + tokens, placed, keys)
            queries = layer.layer_norm2(queries + seen)
            queries = layer.layer_norm3(queries + layer.mlp(queries))
            asked = queries + tokens
            told = _image_to_tokens(layer.cross_attn_image_to_token, placed, asked, queries)
            keys = layer.layer_norm4(keys + told)
        queries, tokens = queries[:, ANSWERING], tokens[:, ANSWERING]
        seen = _tokens_to_image(
            transformer.final_attn_token_to_image, queries + tokens, keys + self.positions, keys
        )
        return transformer.layer_norm_final_attn(queries + seen), keys

    def _masks(
        self, tokens: Tensor, image: Tensor, cells_4: Tensor, cells_16: Tensor
    ) -> tuple[Tensor, Tensor]:
        decoder = self.decoder
        norm = decoder.upscale_layer_norm
        fine = _split(decoder.upscale_conv1, image) + cells_4
        fine = nn.functional.layer_norm(
            fine, norm.normalized_shape, norm.weight, norm.bias, norm.eps
        )
        fine = _split(decoder.upscale_conv2, decoder.activation(fine).flatten(1, 2))
        fine = fine.reshape(-1, GRID * GRID, 16, fine.shape[-1]) + cells_16
        return self.read_masks(tokens, decoder.activation(fine).flatten(1, 2))

    def read_masks(self, tokens: Tensor, fine: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and predicted IoU from the tokens that answer and (prompts, 65536, 32)."""
        decoder = self.decoder
        logits = (self.mask_weights(tokens) @ fine.transpose(1, 2)).index_select(2, self.row_by_row)
        scores = decoder.iou_prediction_head(tokens[:, 0])
        return logits.reshape(-1, 4, MASK_SIDE, MASK_SIDE), scores

    def mask_weights(self, tokens: Tensor) -> Tensor:
        """(prompts, 4, 32): by what the finest channels are multiplied in each mask."""
        mlps = enumerate(self.decoder.output_hypernetworks_mlps)
        return torch.stack([mlp(tokens[:, 1 + i]) for i, mlp in mlps], dim=1)


def _split(upscale: Any, cells: Tensor) -> Tensor:
    """(n, cells, channels) -> (n, cells, 4, channels): a 2x2 transposed convolution of stride 2.

    No two of its windows overlap, so it is one matrix, which makes four cells of each.
    """
    channels_in, channels_out = upscale.weight.shape[:2]
    matrix = upscale.weight.permute(2, 3, 1, 0).reshape(4 * channels_out, channels_in)
    made = nn.functional.linear(cells, matrix, upscale.bias.repeat(4))
    return made.reshape(-1, cells.shape[1], 4, channels_out)


def split_heads(attention: Any, vectors: Tensor) -> Tensor:
    """(n, length, heads * width) -> (n, heads, length, width)."""
    shape = (vectors.shape[0], vectors.shape[1], attention.num_attention_heads, attention.head_dim)
    return vectors.reshape(shape).transpose(1, 2)


def self_attention(attention: Any, asked: Tensor, values: Tensor) -> Tensor:
    """Tokens look at each other."""
    query = split_heads(attention, attention.q_proj(asked))
    key = split_heads(attention, attention.k_proj(asked))
    value = split_heads(attention, attention.v_proj(values))
    weights, total = soft(query @ key.transpose(2, 3) * attention.scaling)
    joined: Tensor = attention.o_proj((weights @ value / total).transpose(1, 2).flatten(2))
    return joined


def soft(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Softmax over the last axis as weights, and by what their products are to be divided.

    OpenVINO would make one kernel of a softmax between two products: for many positions a slow
    one, and for few tokens in bf16 one that is wrong (2026.4, AVX-512 BF16).
    """
    weights = torch.exp(scores - scores.amax(dim=-1, keepdim=True))
    return weights, weights.sum(dim=-1, keepdim=True)


def _tokens_to_image(attention: Any, asked: Tensor, placed: Tensor, image: Tensor) -> Tensor:
    """Attention of few tokens to 4096 positions, without projecting the positions.

    (q W) k = q (W k): the projections are applied to the tokens, of which there are fewer. The
    bias of the keys adds the same to all scores of a token, which softmax does not see.
    """
    query = split_heads(attention, attention.q_proj(asked)) * attention.scaling
    prompts, heads, tokens, _ = query.shape
    probes = (query @ _weight_of_heads(attention, attention.k_proj)).flatten(1, 2)
    scores = probes @ placed.transpose(1, 2)
    weights, total = soft(scores)
    seen = (weights @ image) / total
    seen = seen.reshape(prompts, heads, tokens, -1)
    value = seen @ _weight_of_heads(attention, attention.v_proj).transpose(1, 2)
    joined = value.transpose(1, 2).flatten(2) + attention.v_proj.bias  # weights add up to 1
    seen_by_tokens: Tensor = attention.o_proj(joined)
    return seen_by_tokens


def _image_to_tokens(attention: Any, placed: Tensor, asked: Tensor, values: Tensor) -> Tensor:
    """Attention of 4096 positions to few tokens, without projecting the positions."""
    key = split_heads(attention, attention.k_proj(asked)) * attention.scaling
    value = split_heads(attention, attention.v_proj(values))
    prompts, heads, tokens, width = key.shape
    probes = (key @ _weight_of_heads(attention, attention.q_proj)).flatten(1, 2)
    bias = attention.q_proj.bias.reshape(1, heads, 1, width)
    scores = placed @ probes.transpose(1, 2) + (key * bias).sum(-1).reshape(prompts, 1, -1)
    by_head = scores.reshape(prompts, -1, heads, tokens)
    weights = torch.softmax(by_head, dim=-1).flatten(2)
    output = attention.o_proj.weight.transpose(0, 1).reshape(heads, width, -1)
    told: Tensor = weights @ (value @ output).flatten(1, 2) + attention.o_proj.bias
    return told


def _weight_of_heads(attention: Any, projection: nn.Linear) -> Tensor:
    """(heads, width, channels): the part of a projection's weight that each head uses."""
    shape = (attention.num_attention_heads, attention.head_dim, -1)
    return projection.weight.reshape(shape)
