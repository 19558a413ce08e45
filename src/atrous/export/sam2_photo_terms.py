"""What all prompts about one photo have in common, computed once for many of them.

What a prompt adds to the photo's features in the decoder is of low rank: each of the 4096
positions looks at a few tokens, 8 heads at 8 of them for a click, so that what it is told is a mix
of 64 vectors. So the features never have to be made for each prompt. After the first layer they
are, position by position,

    x1 = s1 * (x0 + P1 A1) * weight + bias

with the photo's own x0, the attention P1 (4096x64), the vectors A1 (64x256), and the norm's
s1 = 1 / deviation. A projection W of it needs x0 (weight W), which is the photo's and is computed
here, and A1 (weight W), which is small. The same goes for the second layer, the last look of the
tokens, and the first enlargement. All is centred beforehand, so that the norms' means are 0.

`runtime/prompt_passes.py` reads the terms, beside what `sam2_prompt_tokens.py` makes of prompts.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from atrous.export.sam2_graphs import PromptDecoder
from atrous.runtime.prompt_passes import CELLS, GRID, HEADS, POSITIONS


class PhotoTerms(NamedTuple):
    """Of a photo, with an earlier mask or without; the numbers are the layers'.

    In the order of `runtime.prompt_passes.TERMS`. Projections are (1, heads, 16, 4096) where
    nothing else is said, sums over channels (1, 1, 4096).
    """

    key_1: Tensor  # for tokens that look at the photo
    query_1: Tensor  # for positions that look at tokens
    told_1: Tensor  # products with what positions are told
    key_2: Tensor
    placed_key_2: Tensor  # of places and biases alone, for any photo
    query_2: Tensor
    placed_query_2: Tensor
    told_2_first: Tensor  # products with what the first layer told them
    told_2: Tensor
    key_3: Tensor  # for the last look
    placed_key_3: Tensor

    value_1: Tensor  # (heads, 64, 64, 16)
    value_2: Tensor
    value_3: Tensor

    square_1: Tensor  # of the features, summed
    square_2: Tensor
    offset_2: Tensor  # products with the constant part of the features
    enlarged: Tensor  # (64, 256, 64): the photo's part of 4 cells, centred for each
    enlarged_offset: Tensor  # (256,): the constant part's
    of_cells_4: Tensor  # (64, 256, 64): the embedding's, with the enlargement's bias, centred
    of_cells_16: Tensor  # (64, 4, 128, 64): the embedding's, with the second enlargement's bias
    norm_weight: Tensor  # (64,): of the norm between the enlargements
    norm_bias: Tensor
    upscale: Tensor  # (128, 64): the second enlargement
    numbers: Tensor  # (4,): the three norms' epsilon, and the constant part's square


class FoldedWeights(nn.Module):
    """The decoder's weights, joined with the norms before them: for the photo and for prompts.

    Names are those of `PhotoTerms`; in double precision until they are joined.
    """

    told_1: Tensor  # (128, 256), rows per head: what makes vectors of the tokens' values
    told_2_first: Tensor
    told_2: Tensor
    offset_2: Tensor  # (256,)
    key_2: Tensor  # (128, 256)
    value_2: Tensor
    query_2: Tensor
    key_3: Tensor
    value_3: Tensor
    enlarged: Tensor  # (256, 256)
    enlarged_bias: Tensor  # (256,)

    def __init__(self, network: Any) -> None:
        """Join the weights of transformers' Sam2Model."""
        super().__init__()
        decoder = network.mask_decoder
        first, second = decoder.transformer.layers
        last = decoder.transformer.final_attn_token_to_image
        tokens, image = second.cross_attn_token_to_image, second.cross_attn_image_to_token
        with torch.no_grad():
            scale_1, scale_2 = (one.layer_norm4.weight.double() for one in (first, second))
            outputs = [
                centred(one.cross_attn_image_to_token.o_proj.weight.double().T)
                for one in (first, second)
            ]
            self._keep("told_1", outputs[0])
            self._keep("told_2_first", centred(outputs[0] * scale_1))
            self._keep("told_2", outputs[1])
            constant = first.layer_norm4.bias + image.o_proj.bias
            self._keep("offset_2", centred(constant.double()))
            self._keep("key_2", tokens.k_proj.weight * scale_1)
            self._keep("value_2", tokens.v_proj.weight * scale_1)
            self._keep("query_2", image.q_proj.weight * scale_1 * image.scaling)
            self._keep("key_3", last.k_proj.weight * scale_2)
            self._keep("value_3", last.v_proj.weight * scale_2)
            upscale = decoder.upscale_conv1
            matrix = upscale.weight.double().permute(2, 3, 1, 0).flatten(0, 2)
            in_cells = (matrix * scale_2).reshape(CELLS, -1, matrix.shape[1])
            self._keep("enlarged", centred(in_cells, dim=1).flatten(0, 1))
            bias = upscale.bias.double().repeat(CELLS) + matrix @ second.layer_norm4.bias.double()
            self._keep("enlarged_bias", bias)

    def _keep(self, name: str, joined: Tensor) -> None:
        self.register_buffer(name, joined.float().clone())


class PhotoSide(nn.Module):
    """Embedding and an earlier mask -> `PhotoTerms`."""

    placed_key_2: Tensor  # buffers
    placed_query_2: Tensor
    placed_key_3: Tensor
    enlarged_offset: Tensor
    upscale: Tensor
    numbers: Tensor

    def __init__(self, network: Any) -> None:
        """Take the parts that see the photo's features from transformers' Sam2Model."""
        super().__init__()
        self.whole = PromptDecoder(network)
        self.weights = folded = FoldedWeights(network)
        decoder = network.mask_decoder
        self.first, second = decoder.transformer.layers
        self.norm, self.second_bias = decoder.upscale_layer_norm, decoder.upscale_conv2.bias
        tokens, image = second.cross_attn_token_to_image, second.cross_attn_image_to_token
        last = decoder.transformer.final_attn_token_to_image
        with torch.no_grad():
            placed_2 = self.first.layer_norm4.bias + self.whole.positions
            placed_3 = second.layer_norm4.bias + self.whole.positions
            query = projected(placed_2, image.q_proj.weight, image.q_proj.bias) * image.scaling
            norms = (self.first.layer_norm4, second.layer_norm4, self.norm)
            square = float(folded.offset_2 @ folded.offset_2)
            constants = {
                "placed_key_2": projected(placed_2, tokens.k_proj.weight),
                "placed_query_2": query,
                "placed_key_3": projected(placed_3, last.k_proj.weight),
                "enlarged_offset": folded.enlarged @ folded.offset_2,
                "upscale": decoder.upscale_conv2.weight.permute(2, 3, 1, 0).flatten(0, 2),
                "numbers": torch.tensor([*(norm.eps for norm in norms), square]),
            }
        for name, constant in constants.items():
            self.register_buffer(name, constant.clone())

    def forward(
        self,
        positions: Tensor,
        cells_4: Tensor,
        cells_16: Tensor,
        mask_input: Tensor,
        has_mask_input: Tensor,
    ) -> PhotoTerms:
        """Give the terms; inputs are those of `sam2_graphs.PromptDecoder`."""
        folded = self.weights
        tokens, image = self.first.cross_attn_token_to_image, self.first.cross_attn_image_to_token
        photo = positions + self.whole.earlier_mask(mask_input, has_mask_input)
        placed = photo + self.whole.positions
        of_1 = centred(photo + image.o_proj.bias)
        of_2 = centred(of_1 * self.first.layer_norm4.weight)
        fine = (cells_4.reshape(1, POSITIONS, -1) + folded.enlarged_bias).reshape(-1, CELLS, 64)
        finest = cells_16.reshape(POSITIONS, CELLS, -1) + self.second_bias.repeat(CELLS)
        return PhotoTerms(
            key_1=projected(placed, tokens.k_proj.weight),
            query_1=projected(placed, image.q_proj.weight, image.q_proj.bias) * image.scaling,
            told_1=projected(of_1, folded.told_1),
            key_2=projected(of_1, folded.key_2),
            placed_key_2=self.placed_key_2,
            query_2=projected(of_1, folded.query_2),
            placed_query_2=self.placed_query_2,
            told_2_first=projected(of_2, folded.told_2_first),
            told_2=projected(of_2, folded.told_2),
            key_3=projected(of_2, folded.key_3),
            placed_key_3=self.placed_key_3,
            value_1=_by_position(photo, tokens.v_proj.weight, tokens.v_proj.bias),
            value_2=_by_position(of_1, folded.value_2),
            value_3=_by_position(of_2, folded.value_3),
            square_1=_summed(of_1 * of_1),
            square_2=_summed(of_2 * of_2),
            offset_2=_summed(of_2 * folded.offset_2),
            enlarged=_in_blocks(nn.functional.linear(of_2, folded.enlarged)),
            enlarged_offset=self.enlarged_offset,
            of_cells_4=_in_blocks(centred(fine)),
            of_cells_16=finest.reshape(GRID, GRID, CELLS, -1).permute(0, 2, 3, 1),
            norm_weight=self.norm.weight,
            norm_bias=self.norm.bias,
            upscale=self.upscale,
            numbers=self.numbers,
        )


def projected(features: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """(1, 4096, channels) -> (1, heads, 16, 4096)."""
    product = nn.functional.linear(features, weight, bias)
    return product.reshape(1, POSITIONS, HEADS, -1).permute(0, 2, 3, 1)


def centred(values: Tensor, dim: int = -1) -> Tensor:
    """Without their mean."""
    return values - values.mean(dim, keepdim=True)


def _by_position(features: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """(1, 4096, channels) -> (heads, 64, 64, 16)."""
    product = nn.functional.linear(features, weight, bias)
    return product.reshape(GRID, GRID, HEADS, -1).permute(2, 0, 1, 3)


def _in_blocks(values: Tensor) -> Tensor:
    """Values of 4096 positions -> (64, channels, 64)."""
    return values.reshape(GRID, GRID, -1).transpose(1, 2)


def _summed(products: Tensor) -> Tensor:
    return products.sum(-1)[:, None]
