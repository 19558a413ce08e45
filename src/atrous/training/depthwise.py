"""Gradients of depthwise convolutions on CPUs: in float32, by sums that oneDNN is quick at.

Of a depthwise convolution in bf16 and channels-last memory, oneDNN (torch 2.15) computes the
gradients of kernels above 3x3, of strides and of dilations many times slower than in float32, and
with dilation the weight's gradient from memory that nobody wrote: mostly that memory holds small
numbers and the fault stays unseen, now and then the loss becomes nan. The test shows it by filling
freed memory.

In any precision it is slow with large and with dilated kernels (figures in docs/training_log.md).
Here the gradient of a dilated kernel's input is a convolution of the output's gradient with the
turned kernel. The gradient of a large kernel is a convolution of the input, with the output's
gradient as kernel; that of a dilated 3x3, which has few places, a sum of products for each.
"""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

Pair = tuple[int, int]  # for rows and for columns


def quick_depthwise_gradients(device: torch.device) -> AbstractContextManager[object]:
    """Wrap the forward pass of a network in it; does nothing but on a CPU."""
    return _QuickDepthwiseGradients() if device.type == "cpu" else nullcontext()


@dataclass(frozen=True)
class _Layout:
    stride: Pair
    padding: Pair
    dilation: Pair

    @property
    def spreads(self) -> bool:
        """Whether it is dilated, and the output has a place for each of the input's."""
        return max(self.dilation) > 1 and max(self.stride) == 1


class _QuickDepthwiseGradients(TorchFunctionMode):
    """Sees every function of torch while it is active, and records other gradients for some.

    In the forward pass, for it calls a tenth as many operators as the backward pass; and whatever
    module calls the convolution, one that pads as TensorFlow does included.
    """

    def __torch_function__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is not torch.conv2d:
            return func(*args, **(kwargs or {}))
        return _convolve(*args, **(kwargs or {}))


def _convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Pair = 1,
    padding: int | Pair | str = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
) -> Tensor:
    """What `torch.conv2d` does, with quick gradients where its own are slow."""
    depthwise = weight.shape[1] == 1 < groups == len(weight)
    if not depthwise or isinstance(padding, str):
        return torch.conv2d(x, weight, bias, stride, padding, dilation, groups)
    layout = _Layout(_pair(stride), _pair(padding), _pair(dilation))
    plain = max(weight.shape[2:]) <= 3 and max(*layout.stride, *layout.dilation) == 1
    if plain:
        return torch.conv2d(x, weight, bias, stride, padding, dilation, groups)
    result: Tensor = _DepthwiseConvolution.apply(x, weight, bias, layout)
    return result


class _DepthwiseConvolution(torch.autograd.Function):
    """A convolution whose backward pass does not leave all of the work to oneDNN."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, layout: _Layout
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.layout = layout
        places = (layout.stride, layout.padding, layout.dilation)
        return F.conv2d(x, weight, bias, *places, groups=len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        output, x, weight = (_wide(tensor) for tensor in (*gradients, *ctx.saved_tensors))
        wanted = ctx.needs_input_grad
        return (
            _of_input(output, x, weight, ctx.layout) if wanted[0] else None,
            _of_weight(output, x, weight, ctx.layout) if wanted[1] else None,
            output.sum((0, 2, 3)) if wanted[2] else None,
            None,
        )


def _of_input(output: Tensor, x: Tensor, weight: Tensor, layout: _Layout) -> Tensor:
    """The gradient of a convolution's input, from that of its output."""
    if not layout.spreads:
        by_torch: Tensor = _by_torch(output, x, weight, layout, (True, False, False))[0]
        return by_torch
    around = [
        rate * (side - 1) - pad
        for rate, side, pad in zip(layout.dilation, weight.shape[2:], layout.padding, strict=True)
    ]
    turned = weight.flip(2, 3)
    return F.conv2d(output, turned, None, 1, around, layout.dilation, len(weight))


def _of_weight(output: Tensor, x: Tensor, weight: Tensor, layout: _Layout) -> Tensor:
    """The gradient of a convolution's kernels, from that of its output."""
    if max(weight.shape[2:]) > 3:
        return _of_large_kernel(output, x, weight, layout)
    if layout.spreads:
        return _of_few_places(output, x, weight, layout)
    by_torch: Tensor = _by_torch(output, x, weight, layout, (False, True, False))[1]
    return by_torch


def _of_large_kernel(output: Tensor, x: Tensor, weight: Tensor, layout: _Layout) -> Tensor:
    """Each photo's channels are groups of their own; stride and dilation change places."""
    photos, channels = x.shape[:2]
    sums = F.conv2d(
        x.reshape(1, photos * channels, *x.shape[2:]),
        output.reshape(photos * channels, 1, *output.shape[2:]),
        stride=layout.dilation,
        padding=layout.padding,
        dilation=layout.stride,
        groups=photos * channels,
    )
    height, width = weight.shape[2:]  # there are more sums where strides leave pixels over
    return sums[..., :height, :width].reshape(photos, *weight.shape).sum(0)


def _of_few_places(output: Tensor, x: Tensor, weight: Tensor, layout: _Layout) -> Tensor:
    """Place by place of kernels without stride; what lies outside of the photo is no work."""
    rows, columns = (
        [
            _overlap(x.shape[axis], output.shape[axis], place * rate - pad)
            for place in range(weight.shape[axis])
        ]
        for axis, rate, pad in zip((2, 3), layout.dilation, layout.padding, strict=True)
    )
    of_weight = torch.zeros_like(weight)
    # Channels last, as they lie in memory.
    x, output = x.permute(0, 2, 3, 1), output.permute(0, 2, 3, 1)
    for row, (x_rows, output_rows) in enumerate(rows):
        for column, (x_columns, output_columns) in enumerate(columns):
            products = x[:, x_rows, x_columns] * output[:, output_rows, output_columns]
            of_weight[:, 0, row, column] = products.sum((0, 1, 2))
    return of_weight


def _overlap(inputs: int, outputs: int, shift: int) -> tuple[slice, slice]:
    """Rows (or columns) of input and output that meet where the input's lie `shift` further."""
    first = max(0, -shift)
    end = max(first, min(outputs, inputs - shift))
    return slice(first + shift, end + shift), slice(first, end)


def _by_torch(
    output: Tensor, x: Tensor, weight: Tensor, layout: _Layout, wanted: tuple[bool, bool, bool]
) -> tuple[Any, ...]:
    places = (layout.stride, layout.padding, layout.dilation)
    gradients: tuple[Any, ...] = torch.ops.aten.convolution_backward(
        output, x, weight, None, *places, False, (0, 0), len(weight), wanted
    )
    return gradients


def _wide(tensor: Tensor) -> Tensor:
    """In float32, unless it is in more than that, with the channels last."""
    dtype = torch.promote_types(tensor.dtype, torch.float32)
    return tensor.to(dtype, memory_format=torch.channels_last)


def _pair(value: int | Pair) -> Pair:
    return (value, value) if isinstance(value, int) else value
