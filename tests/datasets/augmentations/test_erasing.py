import numpy as np

from atrous.datasets.augmentations.erasing import Cutout


def test_rectangles_are_black_and_ignored(coded_picture) -> None:
    image, label_map = coded_picture.coded()
    kept = image.copy(), label_map.copy()
    for seed in range(10):
        erased, labels = Cutout(count=3, percent=20.0)(
            image, label_map, np.random.default_rng(seed)
        )
        gone = labels == 255
        one = round(60 * 0.2) * round(84 * 0.2)
        assert one <= gone.sum() <= 3 * one
        assert not erased[gone].any()
        assert np.array_equal(erased[~gone], image[~gone])
        assert np.array_equal(labels[~gone], label_map[~gone])
    assert np.array_equal(image, kept[0])
    assert np.array_equal(label_map, kept[1])


def test_all_or_nothing(coded_picture) -> None:
    image, label_map = coded_picture.coded()
    assert (Cutout(1, 100.0)(image, label_map, np.random.default_rng(0))[1] == 255).all()
    assert np.array_equal(Cutout(5, 0.0)(image, label_map, np.random.default_rng(0))[0], image)
