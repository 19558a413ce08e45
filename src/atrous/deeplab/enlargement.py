"""Logits at the photo's size, or at some rows and columns of it, by two small matrices."""

from functools import lru_cache

import torch
from jaxtyping import Float, Float32
from torch import Tensor

from atrous.domain.geometry import Size


def enlarge_at(
    logits: Float[Tensor, "n k h w"], size: Size, pixels: tuple[slice, slice]
) -> Float32[Tensor, "n k rows columns"]:
    """What bilinear enlargement to `size` (align_corners=False) gives at `pixels`, in float32.

    pixels: rows and columns of the enlarged logits, as slices.
    Bilinear enlargement is a matrix from the left and one from the right; of those only the rows
    that are wanted are multiplied. On CPUs the gradient takes a fraction of interpolate's time.
    """
    left = enlarging_matrix(logits.shape[2], size.height)[pixels[0]].to(logits.device)
    right = enlarging_matrix(logits.shape[3], size.width)[pixels[1]].to(logits.device)
    with torch.autocast(logits.device.type, enabled=False):
        return left @ (logits.float().contiguous() @ right.T)


@lru_cache(maxsize=32)
def enlarging_matrix(short: int, length: int) -> Float32[Tensor, "{length} {short}"]:
    """The matrix that enlarges a column of `short` values to `length` ones, linearly.

    Pixels are areas: the centre of row i lies at (i + 0.5) * short / length - 0.5 of the column,
    and what lies beyond its first or last centre takes that value.

    >>> enlarging_matrix(2, 4).tolist()
    [[1.0, 0.0], [0.75, 0.25], [0.25, 0.75], [0.0, 1.0]]
    """
    centres = (torch.arange(length, dtype=torch.float64) + 0.5) * short / length - 0.5
    centres = centres.clamp(0, short - 1)
    lower = centres.floor().long()
    upper = (lower + 1).clamp(max=short - 1)
    share = centres - lower
    matrix = torch.zeros(length, short, dtype=torch.float64)
    rows = torch.arange(length)
    matrix[rows, lower] += 1 - share
    matrix[rows, upper] += share
    return matrix.float()
