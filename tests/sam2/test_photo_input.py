import numpy as np
import pytest
import torch
from torchvision.transforms.v2.functional import resize

from atrous.sam2.photo_input import DEVIATION, MEAN, SIDE, prepare_photo

SIZES = [(821, 1232), (1500, 700), (333, 217), (1024, 1024), (1, 1), (3, 2000)]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_is_what_torch_makes_of_it(height: int, width: int) -> None:
    random = np.random.default_rng(height)
    photo = random.integers(0, 256, (height, width, 3), np.uint8)
    levels = torch.from_numpy(photo).permute(2, 0, 1).float() / 255
    squashed = resize(levels, [SIDE, SIDE], antialias=True)
    expected = (squashed - torch.tensor(MEAN)[:, None, None]) / torch.tensor(DEVIATION)[
        :, None, None
    ]
    assert np.abs(prepare_photo(photo)[0] - expected.numpy()).max() < 1e-5


def test_whole_grey_levels_would_not_do() -> None:
    """The exactness is needed: rounding to 8 bits is off by a thousand times as much."""
    photo = np.random.default_rng(0).integers(0, 256, (600, 1500, 3), np.uint8)
    levels = torch.from_numpy(photo).permute(2, 0, 1)
    exact = resize(levels.float() / 255, [SIDE, SIDE], antialias=True)
    rounded = resize(levels, [SIDE, SIDE], antialias=True).float() / 255
    assert (exact - rounded).abs().max() > 1e-3


def test_channels_keep_their_order() -> None:
    photo = np.zeros((10, 10, 3), np.uint8)
    photo[:, :, 0] = 255
    red, green, _ = prepare_photo(photo)[0].mean(axis=(1, 2), dtype=np.float64)
    assert red == pytest.approx((1 - MEAN[0]) / DEVIATION[0])
    assert green == pytest.approx(-MEAN[1] / DEVIATION[1])
