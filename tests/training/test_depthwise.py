import os
import subprocess
import sys
from pathlib import Path

import torch
from torch import nn

from atrous.training.depthwise import avoid_faulty_gradients, is_dilated_depthwise

# Compares the gradients of bf16 convolutions in channels-last memory with those in float64.
COMPARE = """
import torch
from torch import nn
from atrous.training.depthwise import avoid_faulty_gradients

torch.manual_seed(0)
for kernel, dilation in ((3, 2), (3, 4), (3, 6), (5, 2), (5, 4)):
    padding = dilation * (kernel // 2)
    layer = nn.Conv2d(64, 64, kernel, padding=padding, dilation=dilation, groups=64, bias=False)
    network = nn.Sequential(layer).to(memory_format=torch.channels_last)
    assert avoid_faulty_gradients(network) == 1
    x = torch.randn(4, 64, 23, 30).contiguous(memory_format=torch.channels_last)
    upstream = torch.randn_like(x)
    with torch.autocast("cpu", torch.bfloat16):
        y = network(x)
    y.backward(upstream.bfloat16())
    exact = nn.Sequential(nn.Conv2d(64, 64, kernel, padding=padding, dilation=dilation, groups=64,
                                    bias=False)).double()
    exact.load_state_dict({"0.weight": layer.weight.detach().double()})
    exact(x.double()).backward(upstream.double())
    expected = exact[0].weight.grad
    error = (layer.weight.grad.double() - expected).abs().max() / expected.abs().max()
    assert error < 0.02, (kernel, dilation, float(error))
"""


def test_gradients_hold_whatever_lies_in_freed_memory() -> None:
    """glibc fills freed memory with a pattern, so that reading it shows."""
    source = str(Path(__file__).parents[2] / "src")
    environment = {**os.environ, "PYTHONPATH": source, "MALLOC_PERTURB_": "1"}
    done = subprocess.run(
        [sys.executable, "-c", COMPARE], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_only_dilated_depthwise_convolutions_are_changed() -> None:
    network = nn.Sequential(
        nn.Conv2d(8, 8, 3, groups=8),
        nn.Conv2d(8, 8, 3, dilation=2),
        nn.Conv2d(8, 8, 3, dilation=2, groups=8),
    )
    assert [is_dilated_depthwise(layer) for layer in network] == [False, False, True]
    assert avoid_faulty_gradients(network) == 1


def test_outputs_stay_the_same() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8))
    x = torch.randn(2, 8, 12, 10).contiguous(memory_format=torch.channels_last)
    before = network(x)
    avoid_faulty_gradients(network)
    torch.testing.assert_close(network(x), before)
