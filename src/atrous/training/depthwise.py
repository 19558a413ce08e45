"""Gradients of depthwise convolutions on CPUs in float32, where bf16 is slow or even wrong.

Of a depthwise convolution in bf16 and channels-last memory, oneDNN (torch 2.15) computes the
gradients of kernels above 3x3, of strides and of dilations many times slower than in float32, and
with dilation the weight's gradient from memory that nobody wrote: mostly that memory holds small
numbers and the fault stays unseen, now and then the loss becomes nan. The test shows it by filling
freed memory.
"""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

CONVOLUTION_BACKWARD = torch.ops.aten.convolution_backward.default


def float32_depthwise_gradients(device: torch.device) -> AbstractContextManager[object]:
    """Wrap the backward pass of a network in it; does nothing but on a CPU."""
    if device.type != "cpu":
        return nullcontext()
    return _Float32DepthwiseGradients()  # type: ignore[no-untyped-call]


class _Float32DepthwiseGradients(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operator while it is active, and runs the gradients in question in float32."""

    def __torch_dispatch__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is not CONVOLUTION_BACKWARD or not _is_slow_in_bf16(*args[1:7]):
            return func(*args, **(kwargs or {}))
        tensors = [
            tensor.to(torch.float32, memory_format=torch.channels_last) for tensor in args[:3]
        ]
        gradients = func(*tensors, *args[3:], **(kwargs or {}))
        return tuple(g if g is None else g.to(args[1].dtype) for g in gradients)


def _is_slow_in_bf16(
    x: Tensor,
    weight: Tensor,
    bias_sizes: object,
    stride: list[int],
    padding: object,
    dilation: list[int],
) -> bool:
    """Whether a convolution is depthwise, in bf16, and not the plain 3x3 that bf16 is good at."""
    depthwise = weight.ndim == 4 and weight.shape[1] == 1 < x.shape[1]
    plain = weight.shape[-1] <= 3 and max(stride) == 1 and max(dilation) == 1
    return x.dtype == torch.bfloat16 and depthwise and not plain
