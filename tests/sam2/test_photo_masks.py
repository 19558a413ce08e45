import numpy as np
import pytest
import torch

from atrous.domain.geometry import Size
from atrous.sam2.photo_masks import restore_logits, restore_mask


@pytest.mark.parametrize("size", [Size(821, 1232), Size(1500, 700), Size(99, 57), Size(1, 1)])
def test_is_what_torch_makes_of_it(size: Size) -> None:
    logits = np.random.default_rng(0).normal(0, 5, (256, 256)).astype(np.float32)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(logits)[None, None], (size.height, size.width), mode="bilinear"
    )[0, 0].numpy()
    given = restore_logits(logits, size)
    assert np.abs(given - expected).max() < 1e-2  # of logits of 20; only signs matter
    assert np.mean((expected >= 0) != restore_mask(logits, size)) <= 5e-6


def test_a_logit_of_zero_is_on_the_object() -> None:
    assert restore_mask(np.zeros((256, 256), np.float32), Size(5, 7)).all()
