"""Region mutual information: pixels are compared together with their neighbours."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Float64, Int64, Shaped
from torch import Tensor

from atrous.domain.classes import IGNORE_ID

ALPHA = 5e-4  # added to the diagonals of covariances, as in the authors' code


def region_mutual_information(
    logits: Float[Tensor, "batch classes height width"],
    targets: Int64[Tensor, "batch height width"],
    *,
    radius: int,
    pool: int,
) -> Shaped[Tensor, ""]:
    """Zhao et al., 1910.12037: how little neighbourhoods of the prediction say about the truth's.

    Maps are averaged over `pool` x `pool` pixels; each place is then described by its `radius` x
    `radius` neighbours. The loss is the log-determinant of what remains unknown of the truth's
    neighbourhood, half of it per neighbour, a mean over photos and a sum over classes.

    It departs from the paper in two points: probabilities are those of the softmax that is served,
    not one sigmoid per class; and a constant is added that makes the loss of a class without a
    pixel nought instead of -3.8. The paper adds cross-entropy with the same weight: `ce + rmi`.
    """
    labelled = targets != IGNORE_ID
    mask = labelled[:, None].float()
    truth = F.one_hot(targets * labelled, logits.shape[1]).permute(0, 3, 1, 2).float() * mask
    predicted = torch.softmax(logits.float(), dim=1) * mask
    side = radius * pool
    if min(targets.shape[1:]) < side:
        raise ValueError(f"rmi needs crops of at least {side}x{side}; {tuple(targets.shape)} given")
    unknown = _unknown_of_truth(
        _neighbourhoods(truth, radius, pool), _neighbourhoods(predicted, radius, pool)
    )
    identity = torch.eye(radius**2, dtype=torch.float64, device=logits.device)
    # Relative to ALPHA, so that nothing unknown is 0.
    factor = torch.linalg.cholesky(unknown / ALPHA + identity)
    half_log_determinant = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    loss: Tensor = (half_log_determinant / radius**2).mean(dim=0).sum()
    return loss.float()


def _unknown_of_truth(
    truth: Float64[Tensor, "batch classes neighbours places"],
    predicted: Float64[Tensor, "batch classes neighbours places"],
) -> Float64[Tensor, "batch classes neighbours neighbours"]:
    """Covariance of the truth once the prediction is known (equation 12 of the paper).

    In float64: with a good prediction it is a small difference of large numbers.
    """
    identity = torch.eye(truth.shape[2], dtype=torch.float64, device=truth.device)
    between = truth @ predicted.mT
    within = predicted @ predicted.mT + ALPHA * identity
    explained: Tensor = between @ torch.linalg.solve(within, between.mT)
    unknown = truth @ truth.mT - explained
    return (unknown + unknown.mT) / 2  # rounding leaves it not quite symmetric


def _neighbourhoods(
    maps: Float32[Tensor, "batch classes height width"], radius: int, pool: int
) -> Float64[Tensor, "batch classes neighbours places"]:
    """Every place's neighbours as a vector, less the mean over places."""
    small = F.avg_pool2d(maps, pool) if pool > 1 else maps
    batch, classes, height, width = small.shape
    rows, columns = height - radius + 1, width - radius + 1
    shifted = [
        small[:, :, row : row + rows, column : column + columns]
        for row in range(radius)
        for column in range(radius)
    ]
    vectors = torch.stack(shifted, dim=2).flatten(3).double()
    return vectors - vectors.mean(dim=3, keepdim=True)
