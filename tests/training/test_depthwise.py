import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from atrous.training.depthwise import CONVOLUTION_BACKWARD, quick_depthwise_gradients

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
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    upstream = torch.randn_like(y)
    with quick_depthwise_gradients(x.device):
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


class Seen(TorchDispatchMode):
    """Notes in which number format gradients of convolutions are computed."""

    def __init__(self) -> None:
        super().__init__()
        self.formats: list[torch.dtype] = []

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        if func is CONVOLUTION_BACKWARD:
            self.formats.append(args[1].dtype)
        return func(*args, **(kwargs or {}))


def test_gradients_hold_whatever_lies_in_freed_memory() -> None:
    """glibc fills freed memory with a pattern, so that reading it shows."""
    source = str(Path(__file__).parents[2] / "src")
    environment = {**os.environ, "PYTHONPATH": source, "MALLOC_PERTURB_": "1"}
    done = subprocess.run(
        [sys.executable, "-c", COMPARE], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (nn.Conv2d(8, 8, 3, padding=1, groups=8), torch.bfloat16),  # bf16 is good at it
        (nn.Conv2d(8, 8, 3, padding=2, dilation=2), torch.bfloat16),  # not depthwise
        (nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8), torch.float32),
        (nn.Conv2d(8, 8, 3, stride=2, groups=8), torch.float32),
        (nn.Conv2d(8, 8, 5, groups=8), torch.float32),
    ],
)
def test_what_runs_in_float32(layer: nn.Conv2d, expected: torch.dtype) -> None:
    x = torch.randn(2, 8, 12, 10)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    with Seen() as seen, quick_depthwise_gradients(CPU):
        y.float().sum().backward()
    assert seen.formats == [expected]


@pytest.mark.parametrize(
    ("kernel", "dilation", "padding"), [(5, 2, 4), (3, 12, 12), (3, 2, 0), (5, 3, 2)]
)
def test_dilated_gradients_are_the_same(kernel: int, dilation: int, padding: int) -> None:
    """In float64, so that nothing but the sums themselves is compared."""
    torch.manual_seed(0)
    layer = nn.Conv2d(6, 6, kernel, padding=padding, dilation=dilation, groups=6).double()
    x = torch.randn(2, 6, 17, 14, dtype=torch.float64, requires_grad=True)
    upstream = torch.randn_like(layer(x))
    wanted = (x, layer.weight, layer.bias)
    expected = torch.autograd.grad(layer(x), wanted, upstream)
    with quick_depthwise_gradients(CPU):
        found = torch.autograd.grad(layer(x), wanted, upstream)
        weight_alone = torch.autograd.grad(layer(x.detach()), layer.weight, upstream)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(weight_alone[0], expected[1])


def test_other_devices_are_left_alone() -> None:
    with quick_depthwise_gradients(torch.device("cuda")) as mode:
        assert mode is None
