"""Gradients of depthwise convolutions on CPUs: float32 where bf16 is slow or wrong, and dilated.

Of a depthwise convolution in bf16 and channels-last memory, oneDNN (torch 2.15) computes the
gradients of kernels above 3x3, of strides and of dilations many times slower than in float32, and
with dilation the weight's gradient from memory that nobody wrote: mostly that memory holds small
numbers and the fault stays unseen, now and then the loss becomes nan. The test shows it by filling
freed memory.

Of a dilated one it also computes the input's gradient slowly in any precision: 65 ms for 1152
channels of 22x30, 5x5, dilation 2, where the same sums as a convolution of the output's gradient
with the turned kernel take 4.
"""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

CONVOLUTION_BACKWARD = torch.ops.aten.convolution_backward.default


def quick_depthwise_gradients(device: torch.device) -> AbstractContextManager[object]:
    """Wrap the backward pass of a network in it; does nothing but on a CPU."""
    if device.type != "cpu":
        return nullcontext()
    return _QuickDepthwiseGradients()  # type: ignore[no-untyped-call]


class _QuickDepthwiseGradients(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operator while it is active, and computes the gradients in question otherwise."""

    def __torch_dispatch__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is not CONVOLUTION_BACKWARD or not _is_depthwise(*args[1:3]):
            return func(*args, **(kwargs or {}))
        if not _is_slow_in_bf16(*args[1:7]):
            return _gradients(*args)
        tensors = [
            tensor.to(torch.float32, memory_format=torch.channels_last) for tensor in args[:3]
        ]
        gradients = _gradients(*tensors, *args[3:])
        return tuple(g if g is None else g.to(args[1].dtype) for g in gradients)


def _gradients(output: Tensor, x: Tensor, weight: Tensor, *options: Any) -> tuple[Any, ...]:
    """Gradients of input, weight and bias, from that of the output of a depthwise convolution."""
    bias_sizes, stride, padding, dilation, transposed, _, groups, wanted = options
    one_each = len(weight) == x.shape[1] and not transposed
    dilated = max(dilation) > 1 and max(stride) == 1
    if not (wanted[0] and one_each and dilated):
        gradients: tuple[Any, ...] = CONVOLUTION_BACKWARD(output, x, weight, *options)
        return gradients
    around = [
        rate * (side - 1) - pad
        for rate, side, pad in zip(dilation, weight.shape[2:], padding, strict=True)
    ]
    of_input = F.conv2d(output, weight.flip(2, 3), padding=around, dilation=dilation, groups=groups)
    others = (False, *wanted[1:])
    return of_input, *CONVOLUTION_BACKWARD(output, x, weight, *options[:-1], others)[1:]


def _is_depthwise(x: Tensor, weight: Tensor) -> bool:
    """Whether every channel has kernels of its own."""
    return weight.ndim == 4 and weight.shape[1] == 1 < x.shape[1]


def _is_slow_in_bf16(
    x: Tensor,
    weight: Tensor,
    bias_sizes: object,
    stride: list[int],
    padding: object,
    dilation: list[int],
) -> bool:
    """Whether a depthwise convolution is in bf16 and not the plain 3x3 that bf16 is good at."""
    plain = weight.shape[-1] <= 3 and max(stride) == 1 and max(dilation) == 1
    return x.dtype == torch.bfloat16 and not plain
