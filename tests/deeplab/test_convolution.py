import pytest
import torch
from torch import nn

from atrous.deeplab.convolution import SampleSizeBatchNorm, convolution3x3


def test_batch_norm_takes_a_single_value_in_training() -> None:
    norm = SampleSizeBatchNorm(3).train()
    norm.running_mean.copy_(torch.tensor([1.0, 2.0, 3.0]))
    norm.running_var.fill_(4.0)
    single = torch.full((1, 3, 1, 1), 5.0, requires_grad=True)

    result = norm(single)

    assert result.flatten().tolist() == pytest.approx([2.0, 1.5, 1.0], abs=1e-4)
    assert norm.running_mean.tolist() == [1.0, 2.0, 3.0]  # one value teaches it nothing
    result.sum().backward()
    assert single.grad is not None
    with pytest.raises(ValueError, match="more than 1 value"):
        nn.BatchNorm2d(3)(single)  # what it is for


@pytest.mark.parametrize("shape", [(2, 3, 1, 1), (1, 3, 2, 1)])
def test_batch_norm_of_more_values_is_the_ordinary_one(shape: tuple[int, ...]) -> None:
    ours, theirs = SampleSizeBatchNorm(3), nn.BatchNorm2d(3)
    x = torch.randn(shape)
    torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=0)
    torch.testing.assert_close(ours.running_var, theirs.running_var, rtol=0, atol=0)


def test_separable_convolution_normalises_twice() -> None:
    layers = [
        type(layer).__name__
        for layer in convolution3x3(8, 16, dilation=6, separable=True).modules()
        if not isinstance(layer, nn.Sequential)
    ]
    assert layers == ["Conv2d", "BatchNorm2d", "ReLU"] * 2


@pytest.mark.parametrize("separable", [True, False])
def test_convolution_keeps_the_size(separable: bool) -> None:
    layer = convolution3x3(8, 16, dilation=6, separable=separable).eval()
    assert layer(torch.zeros(1, 8, 5, 9)).shape == (1, 16, 5, 9)
