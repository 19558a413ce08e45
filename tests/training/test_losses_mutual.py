from types import ModuleType

import numpy as np
import pytest
import torch

from atrous.domain.classes import IGNORE_ID
from atrous.training.losses_mutual import ALPHA, region_mutual_information


def plain(logits: torch.Tensor, targets: torch.Tensor, radius: int, pool: int) -> torch.Tensor:
    """The equations of the paper, one photo, class and place after the other, in float64."""
    shares = torch.softmax(logits.double(), dim=1)
    identity = torch.eye(radius**2, dtype=torch.float64)
    total = torch.zeros((), dtype=torch.float64)
    for photo in range(logits.shape[0]):
        seen = (targets[photo] != IGNORE_ID).double()
        for class_id in range(logits.shape[1]):
            maps = []
            for values in ((targets[photo] == class_id).double(), shares[photo, class_id] * seen):
                height, width = (side // pool for side in values.shape)
                cells = values[: height * pool, : width * pool]
                maps.append(cells.reshape(height, pool, width, pool).mean(dim=(1, 3)))
            rows, columns = (side - radius + 1 for side in maps[0].shape)
            places = [(r, c) for r in range(rows) for c in range(columns)]
            truth, predicted = (
                torch.stack([m[r : r + radius, c : c + radius].flatten() for r, c in places], 1)
                for m in maps
            )
            truth = truth - truth.mean(1, keepdim=True)
            predicted = predicted - predicted.mean(1, keepdim=True)
            between = truth @ predicted.T
            inverse = torch.linalg.inv(predicted @ predicted.T + ALPHA * identity)
            unknown = truth @ truth.T - between @ inverse @ between.T
            total = total + 0.5 * torch.logdet(unknown + ALPHA * identity) / radius**2
    zero = 0.5 * np.log(ALPHA)  # of a class without a pixel
    return total / logits.shape[0] - logits.shape[1] * zero


@pytest.mark.parametrize(("radius", "pool"), [(3, 2), (3, 1), (2, 4), (1, 3)])
def test_agrees_with_the_equations(loss_batches: ModuleType, radius: int, pool: int) -> None:
    loss_batches.insist_on_equal(
        lambda x, y: region_mutual_information(x, y, radius=radius, pool=pool),
        lambda x, y: plain(x, y, radius, pool),
    )


def test_a_class_that_does_not_occur_is_nought(loss_batches: ModuleType) -> None:
    logits, targets = loss_batches.batch()
    more = torch.cat([logits, torch.full_like(logits[:, :1], -300.0)], dim=1)
    three, four = (
        float(region_mutual_information(x, targets, radius=3, pool=2)) for x in (logits, more)
    )
    assert four == pytest.approx(three)


def test_a_crop_that_is_too_small(loss_batches: ModuleType) -> None:
    logits, targets = loss_batches.batch()
    with pytest.raises(ValueError, match="at least 15x15"):
        region_mutual_information(logits, targets, radius=3, pool=5)


def test_is_sound(loss_batches: ModuleType) -> None:
    loss_batches.insist_on_sound(lambda x, y: region_mutual_information(x, y, radius=3, pool=2))
