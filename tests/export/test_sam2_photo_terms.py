from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from atrous.export.sam2_checkpoint import read_sam2_checkpoint
from atrous.export.sam2_network import build_sam2_network
from atrous.export.sam2_photo_terms import FoldedWeights, PhotoSide, PhotoTerms, centred, projected
from atrous.runtime.prompt_passes import TERMS, term_shapes


@pytest.fixture(scope="module")
def network(sam2_checkpoint: Path) -> Any:
    return build_sam2_network("hiera_tiny", read_sam2_checkpoint(sam2_checkpoint))


def test_projections_lie_head_by_head() -> None:
    features = torch.arange(4096.0)[None, :, None].expand(1, 4096, 256)
    weight = torch.zeros(128, 256)
    weight[17, 0] = 2.0  # of the second head the second channel
    product = projected(features, weight)
    assert product.shape == (1, 8, 16, 4096)
    assert product[0, 1, 1, 5] == 10.0
    assert product.count_nonzero() == 4095  # the first position has 0


def test_nothing_that_is_added_to_features_has_a_mean(network: Any) -> None:
    folded = FoldedWeights(network)
    for joined in (folded.told_1, folded.told_2_first, folded.told_2, folded.offset_2[None]):
        assert joined.abs().max() > 0.01
        assert joined.mean(-1).abs().max() < 1e-6
    assert folded.enlarged.reshape(4, 64, 256).mean(1).abs().max() < 1e-6
    assert centred(torch.tensor([[1.0, 3.0]])).tolist() == [[-1.0, 1.0]]


@pytest.mark.parametrize("has_mask", [0.0, 1.0])
def test_terms_are_those_of_the_photo_with_its_mask(network: Any, has_mask: float) -> None:
    random = torch.Generator().manual_seed(1)
    positions, cells_4, cells_16 = (
        torch.randn(shape, generator=random)
        for shape in ((1, 4096, 256), (1, 4096, 4, 64), (1, 4096, 16, 32))
    )
    mask = torch.randn(1, 1, 256, 256, generator=random) * 5
    side = PhotoSide(network)
    with torch.no_grad():
        terms = side(positions, cells_4, cells_16, mask, torch.tensor([has_mask]))
        photo = positions + side.whole.earlier_mask(mask, torch.tensor([has_mask]))
        layer = network.mask_decoder.transformer.layers[0].cross_attn_token_to_image
        values = layer.v_proj(photo)
    assert isinstance(terms, PhotoTerms)
    of_head = values[0, :, 2 * 16 + 3].reshape(64, 64)
    assert terms.value_1[2, :, :, 3].allclose(of_head, atol=1e-5)
    bias = network.mask_decoder.transformer.layers[0].cross_attn_image_to_token.o_proj.bias
    spread = (photo + bias).var(-1, correction=0) * 256
    assert terms.square_1[0, 0].allclose(spread[0], rtol=1e-4)
    bias = network.mask_decoder.upscale_conv2.bias
    finest = cells_16[0, 65].reshape(4, 128) + bias.repeat(4)  # row 1, column 1
    assert terms.of_cells_16[1, :, :, 1].allclose(finest, atol=1e-6)
    sizes = [int(np.prod(shape)) for shape in term_shapes().values()]
    assert [term.numel() for term in terms] == sizes
    assert terms._fields == TERMS
