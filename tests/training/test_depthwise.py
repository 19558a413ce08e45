import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from timm.layers import Conv2dSame
from torch import nn

from atrous.training.depthwise import quick_depthwise_gradients

CPU = torch.device("cpu")

# Compares the gradients of bf16 convolutions in channels-last memory with those in float64.
COMPARE = """
import torch
from torch import nn
from atrous.training.depthwise import quick_depthwise_gradients

torch.manual_seed(0)
for kernel, stride, dilation in ((3, 1, 1), (3, 2, 1), (3, 1, 4), (5, 1, 1), (5, 2, 1), (5, 1, 4)):
    layer = nn.Conv2d(64, 64, kernel, stride, dilation * (kernel // 2), dilation, groups=64)
    layer.to(memory_format=torch.channels_last)
    x = torch.randn(4, 64, 23, 30).contiguous(memory_format=torch.channels_last)
    x.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16), quick_depthwise_gradients(x.device):
        y = layer(x)
    upstream = torch.randn_like(y)
    y.backward(upstream)
    exact = nn.Conv2d(64, 64, kernel, stride, dilation * (kernel // 2), dilation, groups=64)
    exact.double().load_state_dict(layer.double().state_dict())
    z = x.detach().double().requires_grad_()
    exact(z).backward(upstream.double())
    for ours, expected in (
        (layer.weight.grad, exact.weight.grad),
        (layer.bias.grad, exact.bias.grad),
        (x.grad, z.grad),
    ):
        error = (ours.double() - expected).abs().max() / expected.abs().max()
        assert error < 0.02, (kernel, stride, dilation, float(error))
"""


def test_gradients_hold_whatever_lies_in_freed_memory() -> None:
    """glibc fills freed memory with a pattern, so that reading it shows."""
    source = str(Path(__file__).parents[2] / "src")
    environment = {**os.environ, "PYTHONPATH": source, "MALLOC_PERTURB_": "1"}
    done = subprocess.run(
        [sys.executable, "-c", COMPARE], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("layer", "replaced"),
    [
        (nn.Conv2d(8, 8, 3, padding=1, groups=8), False),  # oneDNN is good at it
        (nn.Conv2d(8, 8, 3, padding=2, dilation=2), False),  # not depthwise
        (nn.Conv2d(8, 16, 5, groups=8), False),  # two kernels for each channel
        (nn.Conv2d(8, 8, 5, padding="same", groups=8), False),
        (nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8), True),
        (nn.Conv2d(8, 8, 3, stride=2, groups=8), True),
        (nn.Conv2d(8, 8, 5, groups=8), True),
        (Conv2dSame(8, 8, 3, stride=2, groups=8), True),
    ],
)
def test_what_is_replaced(layer: nn.Conv2d, replaced: bool) -> None:
    x = torch.randn(2, 8, 12, 10)
    with quick_depthwise_gradients(CPU):
        y = layer(x)
    torch.testing.assert_close(y, layer(x), rtol=0, atol=0)
    assert ("DepthwiseConvolution" in type(y.grad_fn).__name__) is replaced


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation", "padding"),
    [
        (5, 1, 2, 4),
        (3, 1, 12, 12),
        (3, 1, 18, 18),  # most places see nothing but padding
        (3, 1, 2, 0),
        (5, 1, 3, 2),
        (5, 1, 1, 2),
        (5, 2, 1, 2),
        (5, 3, 1, 0),
        (3, 2, 1, 1),
        (3, 2, 2, 2),
        ((1, 5), 1, 1, (0, 2)),
    ],
)
def test_gradients_are_the_same(kernel: Any, stride: int, dilation: int, padding: Any) -> None:
    """In float64, so that nothing but the sums themselves is compared."""
    torch.manual_seed(0)
    layer = nn.Conv2d(6, 6, kernel, stride, padding, dilation, groups=6).double()
    x = torch.randn(2, 6, 17, 14, dtype=torch.float64, requires_grad=True)
    wanted = (x, layer.weight, layer.bias)
    upstream = torch.randn_like(layer(x))
    expected = torch.autograd.grad(layer(x), wanted, upstream)
    with quick_depthwise_gradients(CPU):
        y, of_data = layer(x), layer(x.detach())
    found = torch.autograd.grad(y, wanted, upstream)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    weight_alone = torch.autograd.grad(of_data, layer.weight, upstream)
    torch.testing.assert_close(weight_alone[0], expected[1])


def test_a_convolution_called_by_names() -> None:
    x, weight = torch.randn(1, 4, 9, 9), torch.randn(4, 1, 5, 5, requires_grad=True)
    with quick_depthwise_gradients(CPU):
        y = torch.conv2d(x, weight=weight, padding=(2, 2), groups=4)
    assert "DepthwiseConvolution" in type(y.grad_fn).__name__
    torch.testing.assert_close(y, torch.conv2d(x, weight, padding=2, groups=4))


def test_other_devices_are_left_alone() -> None:
    with quick_depthwise_gradients(torch.device("cuda")) as mode:
        assert mode is None
