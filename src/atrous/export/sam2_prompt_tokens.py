"""The tokens' side of SAM 2's decoder for many prompts about one photo, in four stages.

Tokens of a prompt and positions of the photo look at each other in turns. What happens at the 4096
positions is machine code (`runtime/prompt_passes.py`), what tokens make of it is here.
`sam2_photo_terms` says why so little goes back and forth.

What tokens have seen are means over positions, by the weights of a look:

    seen_1    (prompts, 8, tokens, 16)            of the first layer's values
    seen_2    (prompts, 8, tokens, 16)            of the second's, times the first norm's scale
    shares_2  (prompts, 8, tokens, 8, tokens)     of the first layer's mixes
    seen_3    (prompts, 8, 5, 16)                 of the last look's values, times both scales
    shares_3  (prompts, 8, 5, 2, 8, tokens)       of both layers' mixes, times the second scale
    scale_3   (prompts, 8, 5)                     of the second norm's scale
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from atrous.export.sam2_graphs import ANSWERING, PromptDecoder, self_attention, split_heads
from atrous.export.sam2_photo_terms import FoldedWeights
from atrous.runtime.prompt_passes import CHANNELS, HEADS


class FirstQuestions(NamedTuple):
    """Stage 1: what tokens ask first."""

    tokens: Tensor  # (prompts, tokens, 256)
    said_1: Tensor  # (prompts, tokens, 256): what they say, as in the other stages
    asked_1: Tensor  # (prompts, 8, tokens, 16)


class SecondQuestions(NamedTuple):
    """Stage 2: what tokens tell the photo, and ask in the second layer.

    Mixes are 8 * tokens per position, head by head.
    """

    said_2: Tensor
    told_key_1: Tensor  # (prompts, 8, tokens, 16): for positions that look at tokens
    told_value_1: Tensor  # (prompts, 8, tokens, 16)
    gram_1: Tensor  # (prompts, mixes, mixes): products of what positions are told
    asked_2: Tensor  # (prompts, 8, tokens, 16)
    probes_2: Tensor  # (prompts, 8 * tokens, mixes): scores of what positions were told


class LastQuestions(NamedTuple):
    """Stage 3: the same of the second layer, five tokens' last look, and the first enlargement.

    Both layers' mixes are 2 * 8 * tokens per position.
    """

    said_3: Tensor
    told_key_2: Tensor  # (prompts, 8, tokens, 16)
    told_value_2: Tensor
    key_probes: Tensor  # (prompts, 8 * tokens, mixes): keys times what positions were told
    offsets: Tensor  # (prompts, both layers' mixes): products with the constant part
    gram_2: Tensor  # (prompts, both, both)
    asked_3: Tensor  # (prompts, 8, 5, 16)
    constant_3: Tensor  # (prompts, 8, 5): scores of the constant part
    probes_3: Tensor  # (prompts, 8 * 5, both)
    enlarging: Tensor  # (prompts, 256, both): the first enlargement of what positions were told


class Answers(NamedTuple):
    """Stage 4: what is left to tell masks apart."""

    mask_weights: Tensor  # (prompts, 4, 32)
    predicted_iou: Tensor  # (prompts, 4)


class PromptTokens(nn.Module):
    """The four stages; each needs what the ones before it gave."""

    constant_2: Tensor  # buffers: what values have of biases alone
    constant_3: Tensor

    def __init__(self, network: Any) -> None:
        """Take the parts that see prompts from transformers' Sam2Model."""
        super().__init__()
        self.whole = PromptDecoder(network)
        self.weights = FoldedWeights(network)
        transformer = network.mask_decoder.transformer
        self.first, self.second = first, second = transformer.layers
        self.last = last = transformer.final_attn_token_to_image
        value = second.cross_attn_token_to_image.v_proj
        with torch.no_grad():
            self.register_buffer("constant_2", value(first.layer_norm4.bias).clone())
            self.register_buffer("constant_3", last.v_proj(second.layer_norm4.bias).clone())

    def ask_first(self, point_coords: Tensor, point_labels: Tensor) -> FirstQuestions:
        """Points as `PromptDecoder` takes them -> stage 1."""
        tokens = self.whole.tokens_of(point_coords, point_labels)
        said = self.first.layer_norm1(self_attention(self.first.self_attn, tokens, tokens))
        return FirstQuestions(
            tokens, said, _queries(self.first.cross_attn_token_to_image, said + tokens)
        )

    def ask_second(self, tokens: Tensor, said_1: Tensor, seen_1: Tensor) -> SecondQuestions:
        """What the first layer's tokens have seen -> stage 2."""
        said = _heard(self.first, said_1, seen_1)
        key, value = _answers(self.first.cross_attn_image_to_token, said, tokens)
        told = _vectors(value, self.weights.told_1)
        layer = self.second
        said = layer.layer_norm1(said + self_attention(layer.self_attn, said + tokens, said))
        query = _queries(layer.cross_attn_token_to_image, said + tokens)
        probes = query @ _by_head(told @ self.weights.key_2.T).transpose(2, 3)
        gram = told @ told.transpose(1, 2)
        return SecondQuestions(said, key, value, gram, query, probes.flatten(1, 2))

    def ask_last(
        self, tokens: Tensor, said_2: Tensor, value_1: Tensor, seen_2: Tensor, shares_2: Tensor
    ) -> LastQuestions:
        """What the second layer's tokens have seen -> stage 3."""
        folded, layer = self.weights, self.second
        told_1 = _vectors(value_1, folded.told_1)
        seen = seen_2 + shares_2.flatten(3) @ _by_head(told_1 @ folded.value_2.T)
        said = _heard(layer, said_2, seen, self.constant_2)
        key, value = _answers(layer.cross_attn_image_to_token, said, tokens)
        key_probes = key @ _by_head(told_1 @ folded.query_2.T).transpose(2, 3)
        told = self._told(value_1, value)
        query = _queries(self.last, (said + tokens)[:, ANSWERING])
        constant = query @ (folded.key_3 @ folded.offset_2).reshape(1, HEADS, -1, 1)
        probes = query @ _by_head(told @ folded.key_3.T).transpose(2, 3)
        return LastQuestions(
            said_3=said,
            told_key_2=key,
            told_value_2=value,
            key_probes=key_probes.flatten(1, 2),
            offsets=told @ folded.offset_2,
            gram_2=told @ told.transpose(1, 2),
            asked_3=query,
            constant_3=constant.squeeze(-1),
            probes_3=probes.flatten(1, 2),
            enlarging=folded.enlarged @ told.transpose(1, 2),
        )

    def answer(
        self,
        said_3: Tensor,
        value_1: Tensor,
        value_2: Tensor,
        seen_3: Tensor,
        shares_3: Tensor,
        scale_3: Tensor,
    ) -> Answers:
        """What five tokens have seen at last -> stage 4."""
        folded, whole = self.weights, self.whole
        told = self._told(value_1, value_2)
        constant = (folded.value_3 @ folded.offset_2).reshape(1, HEADS, 1, -1)
        seen = seen_3 + shares_3.flatten(3) @ _by_head(told @ folded.value_3.T)
        seen = seen + scale_3[..., None] * constant
        joined = seen.transpose(1, 2).flatten(2) + self.constant_3
        norm = whole.decoder.transformer.layer_norm_final_attn
        said = norm(said_3[:, ANSWERING] + self.last.o_proj(joined))
        return Answers(whole.mask_weights(said), whole.decoder.iou_prediction_head(said[:, 0]))

    def _told(self, value_1: Tensor, value_2: Tensor) -> Tensor:
        """(prompts, both layers' mixes, 256): the vectors that positions have mixes of."""
        first = _vectors(value_1, self.weights.told_2_first)
        return torch.cat([first, _vectors(value_2, self.weights.told_2)], dim=1)


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
