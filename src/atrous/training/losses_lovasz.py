"""Lovasz-softmax: a convex surrogate of 1 - IoU, whose gradient is known in closed form."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64, Shaped
from torch import Tensor

from atrous.domain.classes import IGNORE_ID


def lovasz_softmax(
    logits: Float[Tensor, "batch classes height width"],
    targets: Int64[Tensor, "batch height width"],
) -> Shaped[Tensor, ""]:
    """Berman et al., 1705.08790, algorithm 1: over the whole batch, classes that occur in it.

    Nought where no pixel is labelled.
    """
    probabilities = torch.softmax(logits.float(), dim=1).transpose(0, 1).flatten(1)
    truth = targets.flatten()
    labelled = truth != IGNORE_ID
    if not labelled.all():
        probabilities, truth = probabilities[:, labelled], truth[labelled]
    loss: Tensor = _LovaszSoftmax.apply(probabilities, truth)
    return loss


class _LovaszSoftmax(torch.autograd.Function):
    """Loss and gradient in one pass, one class at a time.

    Autograd would keep the order of all pixels for every class until the backward pass: 12 bytes
    a pixel and class, three times what the probabilities take.
    """

    @staticmethod
    def forward(
        context: Any,
        probabilities: Float32[Tensor, "classes pixels"],
        truth: Int64[Tensor, " pixels"],
    ) -> Shaped[Tensor, ""]:
        gradient = torch.zeros_like(probabilities)
        present = torch.bincount(truth, minlength=len(probabilities)) > 0
        total = probabilities.new_zeros((), dtype=torch.float64)
        for class_id in present.nonzero()[:, 0].tolist():
            foreground = truth == class_id
            signed = probabilities[class_id] - foreground.float()  # in -1..0 there, 0..1 elsewhere
            order = _descending(signed.abs())
            steps = _jaccard_steps(foreground[order])
            gradient[class_id][order] = steps * signed[order].sign()
            total += (signed.abs()[order].double() * steps.double()).sum()
        classes = present.sum().clamp(min=1)
        context.save_for_backward(gradient.div_(classes))
        return (total / classes).float()

    @staticmethod
    def backward(context: Any, *outer: Any) -> tuple[Float32[Tensor, "classes pixels"], None]:
        (gradient,) = context.saved_tensors
        return gradient * outer[0], None


def _jaccard_steps(foreground: Bool[Tensor, " pixels"]) -> Float32[Tensor, " pixels"]:
    """How much the Jaccard loss grows with each further wrong pixel, pixels in order of error."""
    # Counts as whole numbers: float32 ends at 16 million pixels.
    hits = foreground.long().cumsum(0)
    misses = torch.arange(1, len(foreground) + 1, device=foreground.device) - hits
    count = hits[-1]
    jaccard = 1.0 - (count - hits).double() / (count + misses).double()
    return torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]]).float()


def _descending(errors: Float32[Tensor, " pixels"]) -> Int64[Tensor, " pixels"]:
    """Indices from the largest error (0..1) to the smallest.

    On a CPU NumPy sorts 64-bit keys, made of the error's bits and the index, many times quicker
    than torch sorts floats with their indices: the bits of floats that are not negative have
    the floats' order.
    """
    if errors.device.type != "cpu":
        return torch.argsort(errors, descending=True)
    bits = errors.numpy().view(np.uint32).astype(np.uint64)
    keys = (bits << np.uint64(32)) | np.arange(len(bits), dtype=np.uint64)
    keys.sort()
    return torch.from_numpy((keys[::-1] & np.uint64(0xFFFFFFFF)).astype(np.int64))
