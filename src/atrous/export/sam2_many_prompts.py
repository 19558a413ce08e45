"""SAM 2's decoder for many prompts about one photo, beside what they have in common."""

from typing import Any

import torch
from torch import Tensor, nn

from atrous.export.sam2_graphs import ANSWERING, PromptDecoder, self_attention, soft, split_heads
from atrous.export.sam2_photo_terms import HEADS, POSITIONS, FoldedWeights, PhotoTerms, projected

CHANNELS = 256


class ManyPromptsDecoder(nn.Module):
    """`PhotoTerms` and prompts -> four masks per prompt and their predicted IoU.

    It says what `PromptDecoder` says with half the multiplications; `sam2_photo_terms` says why.
    Rows of mixes are tokens, head by head, and columns positions.
    """

    placed_key_2: Tensor  # buffers: what projections have of positions and biases alone
    placed_query_2: Tensor
    placed_key_3: Tensor
    constant_2: Tensor
    constant_3: Tensor
    upscale: Tensor

    def __init__(self, network: Any) -> None:
        """Take the parts that see prompts from transformers' Sam2Model."""
        super().__init__()
        self.whole = whole = PromptDecoder(network)
        self.weights = FoldedWeights(network)
        transformer = network.mask_decoder.transformer
        self.first, self.second = first, second = transformer.layers
        self.last = last = transformer.final_attn_token_to_image
        tokens, image = second.cross_attn_token_to_image, second.cross_attn_image_to_token
        with torch.no_grad():
            placed_2 = first.layer_norm4.bias + whole.positions
            placed_3 = second.layer_norm4.bias + whole.positions
            query = projected(placed_2, image.q_proj.weight, image.q_proj.bias) * image.scaling
            self.register_buffer("placed_query_2", query.clone())
            self.register_buffer("placed_key_2", projected(placed_2, tokens.k_proj.weight).clone())
            self.register_buffer("placed_key_3", projected(placed_3, last.k_proj.weight).clone())
            self.register_buffer("constant_2", tokens.v_proj(first.layer_norm4.bias).clone())
            self.register_buffer("constant_3", last.v_proj(second.layer_norm4.bias).clone())
            upscale = network.mask_decoder.upscale_conv2.weight
            self.register_buffer("upscale", upscale.permute(2, 3, 1, 0).flatten(0, 2).clone())

    def forward(
        self, terms: PhotoTerms, point_coords: Tensor, point_labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Give logits (prompts, 4, 256, 256) and predicted IoU (prompts, 4)."""
        tokens = self.whole.tokens_of(point_coords, point_labels)
        said, told_1, scale_1 = self._first_layer(terms, tokens)
        said, mixes, vectors, scale_2 = self._second_layer(terms, tokens, said, told_1, scale_1)
        said, tokens = said[:, ANSWERING], tokens[:, ANSWERING]
        said = self._last_look(terms, tokens, said, mixes, vectors, scale_1, scale_2)
        # (prompts, 4096, 256): the first enlargement, without what all channels have in common
        told = mixes.transpose(1, 2) @ (vectors @ self.weights.enlarged.T)
        constant = self.weights.enlarged @ self.weights.offset_2
        of_position_1, of_position_2 = (
            scale.reshape(-1, POSITIONS, 1) for scale in (scale_1, scale_2)
        )
        fine = of_position_2 * (of_position_1 * terms.enlarged + told + constant) + terms.of_cells_4
        return self._masks(terms, said, fine)

    def _first_layer(
        self, terms: PhotoTerms, tokens: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor], Tensor]:
        """Give what tokens say, what positions were told (mixes and values), and their scale."""
        layer = self.first
        said = layer.layer_norm1(self_attention(layer.self_attn, tokens, tokens))
        look = layer.cross_attn_token_to_image
        query = _queries(look, said + tokens)
        weights, total = soft(query @ terms.key_1)
        said = _heard(layer, said, weights @ terms.value_1.transpose(2, 3) / total)
        key, value = _answers(layer.cross_attn_image_to_token, said, tokens)
        mixes = torch.softmax(key @ terms.query_1, dim=2).flatten(1, 2)
        vectors = _vectors(value, self.weights.told_1)
        inner = 2 * (value @ terms.told_1).flatten(1, 2)
        inner = inner + (vectors @ vectors.transpose(1, 2)) @ mixes
        squares = terms.square_1 + (mixes * inner).sum(1, keepdim=True)
        scale = torch.rsqrt(squares / CHANNELS + layer.layer_norm4.eps)
        return said, (mixes * scale, value), scale

    def _second_layer(
        self,
        terms: PhotoTerms,
        tokens: Tensor,
        said: Tensor,
        told: tuple[Tensor, Tensor],
        scale: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Give what tokens say, both layers' mixes and vectors, and the scale after this one."""
        layer, folded = self.second, self.weights
        mixes_1, value_1 = told
        vectors_1 = _vectors(value_1, folded.told_1)
        said = layer.layer_norm1(said + self_attention(layer.self_attn, said + tokens, said))
        look = layer.cross_attn_token_to_image
        query, by_head = _queries(look, said + tokens), scale[:, None]
        probes = query @ _by_head(vectors_1 @ folded.key_2.T).transpose(2, 3)
        scores = (
            by_head * (query @ terms.key_2) + query @ self.placed_key_2 + _across(probes, mixes_1)
        )
        weights, total = soft(scores)
        seen = (weights * by_head) @ terms.value_2.transpose(2, 3)
        shares = _across(weights, mixes_1.transpose(1, 2))
        seen = (seen + shares @ _by_head(vectors_1 @ folded.value_2.T)) / total
        said = _heard(layer, said, seen, self.constant_2)
        key, value_2 = _answers(layer.cross_attn_image_to_token, said, tokens)
        probes = key @ _by_head(vectors_1 @ folded.query_2.T).transpose(2, 3)
        scores = (
            by_head * (key @ terms.query_2) + key @ self.placed_query_2 + _across(probes, mixes_1)
        )
        mixes = torch.cat([mixes_1, torch.softmax(scores, dim=2).flatten(1, 2)], dim=1)
        vectors = torch.cat(
            [_vectors(value_1, folded.told_2_first), _vectors(value_2, folded.told_2)], dim=1
        )
        photo = torch.cat([value_1 @ terms.told_2_first, value_2 @ terms.told_2], dim=1)
        inner = 2 * (scale * photo.flatten(1, 2) + (vectors @ folded.offset_2)[..., None])
        inner = inner + (vectors @ vectors.transpose(1, 2)) @ mixes
        squares = scale * (scale * terms.square_2 + 2 * terms.offset_2)
        squares = squares + folded.offset_2 @ folded.offset_2 + (mixes * inner).sum(1, keepdim=True)
        return said, mixes, vectors, torch.rsqrt(squares / CHANNELS + layer.layer_norm4.eps)

    def _last_look(
        self,
        terms: PhotoTerms,
        tokens: Tensor,
        said: Tensor,
        mixes: Tensor,
        vectors: Tensor,
        scale_1: Tensor,
        scale_2: Tensor,
    ) -> Tensor:
        look, folded = self.last, self.weights
        by_head_1, by_head_2 = scale_1[:, None], scale_2[:, None]
        query = _queries(look, said + tokens)
        constant = query @ (folded.key_3 @ folded.offset_2).reshape(1, HEADS, -1, 1)
        probes = query @ _by_head(vectors @ folded.key_3.T).transpose(2, 3)
        scores = by_head_1 * (query @ terms.key_3) + constant + _across(probes, mixes)
        weights, total = soft(by_head_2 * scores + query @ self.placed_key_3)
        weights = weights * by_head_2
        seen = (weights * by_head_1) @ terms.value_3.transpose(2, 3)
        shares = _across(weights, mixes.transpose(1, 2))
        seen = seen + shares @ _by_head(vectors @ folded.value_3.T)
        constant = (folded.value_3 @ folded.offset_2).reshape(1, HEADS, 1, -1)
        seen = (seen + weights.sum(-1, keepdim=True) * constant) / total
        joined = seen.transpose(1, 2).flatten(2) + self.constant_3
        norm = self.whole.decoder.transformer.layer_norm_final_attn
        answered: Tensor = norm(said + look.o_proj(joined))
        return answered

    def _masks(self, terms: PhotoTerms, tokens: Tensor, fine: Tensor) -> tuple[Tensor, Tensor]:
        decoder = self.whole.decoder
        norm = decoder.upscale_layer_norm
        fine = fine.reshape(fine.shape[0], -1, norm.normalized_shape[0])
        scale = torch.rsqrt((fine * fine).mean(-1, keepdim=True) + norm.eps)
        fine = decoder.activation(fine * scale * norm.weight + norm.bias)
        fine = decoder.activation(nn.functional.linear(fine, self.upscale) + terms.of_cells_16)
        return self.whole.read_masks(tokens, fine.reshape(fine.shape[0], 16 * POSITIONS, -1))


def _queries(attention: Any, asked: Tensor) -> Tensor:
    query: Tensor = split_heads(attention, attention.q_proj(asked)) * attention.scaling
    return query


def _answers(attention: Any, said: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Keys and values of tokens that positions look at."""
    key = split_heads(attention, attention.k_proj(said + tokens))
    return key, split_heads(attention, attention.v_proj(said))


def _heard(layer: Any, said: Tensor, seen: Tensor, constant: Tensor | None = None) -> Tensor:
    """What tokens say after a look at the photo, which saw (prompts, heads, tokens, 16)."""
    joined = seen.transpose(1, 2).flatten(2)
    if constant is not None:
        joined = joined + constant
    said = layer.layer_norm2(said + layer.cross_attn_token_to_image.o_proj(joined))
    heard: Tensor = layer.layer_norm3(said + layer.mlp(said))
    return heard


def _vectors(values: Tensor, output: Tensor) -> Tensor:
    """(prompts, heads, tokens, 16), (128, 256) -> (prompts, heads * tokens, 256)."""
    return (values @ output.reshape(1, HEADS, -1, CHANNELS)).flatten(1, 2)


def _by_head(projections: Tensor) -> Tensor:
    """(prompts, rows, heads * 16) -> (prompts, heads, rows, 16)."""
    prompts, rows, _ = projections.shape
    return projections.reshape(prompts, rows, HEADS, -1).transpose(1, 2)


def _across(by_head: Tensor, matrix: Tensor) -> Tensor:
    """(prompts, heads, tokens, n) times (prompts, n, m), the same for all heads of a prompt."""
    product = by_head.flatten(1, 2) @ matrix
    return product.reshape(product.shape[0], HEADS, -1, product.shape[2])
