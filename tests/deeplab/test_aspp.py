import torch
from torch import nn

from atrous.deeplab.aspp import RATES, Aspp, ImagePooling


def test_rates_of_the_paper() -> None:
    assert RATES == {16: (6, 12, 18), 8: (12, 24, 36)}
    for separable in (True, False):
        aspp = Aspp(32, RATES[16], separable=separable, dropout=0.5)
        dilations = [
            layer.dilation[0]
            for layer in aspp.modules()
            if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3)
        ]
        assert dilations == [6, 12, 18]


def test_branches_are_mixed_into_256_channels() -> None:
    aspp = Aspp(32, (6, 12, 18), separable=True, dropout=0.5).eval()
    assert aspp(torch.zeros(2, 32, 4, 7)).shape == (2, 256, 4, 7)


def test_pooling_is_the_same_everywhere() -> None:
    pooled = ImagePooling(4, 8).eval()(torch.randn(2, 4, 3, 5))
    assert pooled.shape == (2, 8, 3, 5)
    assert torch.equal(pooled, pooled[:, :, :1, :1].expand_as(pooled))
