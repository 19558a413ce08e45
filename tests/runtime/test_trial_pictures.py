import numpy as np
import pytest

from atrous.domain.geometry import Size
from atrous.runtime.trial_pictures import trial_pictures


@pytest.mark.parametrize("size", [Size(32, 48), Size(3, 5)])
def test_pictures_are_normalised_and_always_the_same(size: Size) -> None:
    pictures, again = trial_pictures(size), trial_pictures(size)
    assert len(pictures) == 3
    for picture, same in zip(pictures, again, strict=True):
        assert picture.shape == (1, 3, size.height, size.width)
        assert picture.dtype == np.float32
        assert abs(picture.mean()) < 1e-3
        assert picture.std() == pytest.approx(1, abs=1e-3)
        assert np.array_equal(picture, same)
    assert not np.array_equal(pictures[0], pictures[1])
