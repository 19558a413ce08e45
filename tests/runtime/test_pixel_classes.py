"""Winners and shares against softmax of the logits enlarged by PyTorch in double precision."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from atrous.runtime import pixel_classes
from atrous.runtime.pixel_classes import Limit, PixelClasses, find_pixel_classes
from atrous.runtime.resampling import twice_bilinear


def enlarge(logits: np.ndarray, height: int, width: int) -> PixelClasses:
    """All of the logits, once bilinearly; channel numbers as class ids."""
    channels, out_height, out_width = logits.shape
    target = PixelClasses(
        np.zeros((height, width), np.uint8), np.zeros((height, width), np.float32)
    )
    rows = twice_bilinear(out_height, out_height, slice(0, out_height), height)
    columns = twice_bilinear(out_width, out_width, slice(0, out_width), width)
    find_pixel_classes(logits, rows, columns, np.arange(channels, dtype=np.uint8), target)
    return target


def probabilities(logits: np.ndarray, height: int, width: int) -> torch.Tensor:
    whole = torch.from_numpy(logits.astype(np.float64))[None]
    enlarged = functional.interpolate(whole, (height, width), mode="bilinear", antialias=True)
    return enlarged[0].softmax(0)


def assert_right(found: PixelClasses, expected: torch.Tensor) -> None:
    """Label maps are the same but at ties within 1e-5, confidences within far less than 1/255."""
    best, ids = expected.max(0)
    of_found = expected.gather(0, torch.from_numpy(found.label_map.astype(np.int64))[None])[0]
    differs = found.label_map != ids.numpy()
    assert (best - of_found).numpy()[differs].max(initial=0) < 1e-5
    assert np.abs(found.confidence - best.numpy()).max() < 1e-4


def smooth(channels: int, height: int = 20, width: int = 30, scale: float = 6.0) -> np.ndarray:
    planes = np.random.default_rng(3).standard_normal((channels, height, width)).astype(np.float32)
    return np.stack([cv2.GaussianBlur(plane, (0, 0), 3) * 8 * scale for plane in planes])


@pytest.mark.parametrize("channels", [2, 3, 21, 150, 256])
@pytest.mark.parametrize("size", [(203, 317), (40, 30), (9, 7)])
def test_smooth_logits(channels: int, size: tuple[int, int]) -> None:
    logits = smooth(channels)
    assert_right(enlarge(logits, *size), probabilities(logits, *size))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 40.0, 1e3])
def test_noise_of_any_range(scale: float) -> None:
    logits = np.random.default_rng(4).standard_normal((5, 12, 17)).astype(np.float32)
    found = enlarge(logits * np.float32(scale), 190, 260)
    expected = probabilities(logits * np.float32(scale), 190, 260)
    best, ids = expected.max(0)
    # At a scale of 1000 single precision itself leaves 1e-4 of a logit.
    clear = np.abs(found.confidence - best.numpy()) < 1e-3
    assert clear.mean() > 0.999
    assert (found.label_map == ids.numpy()).mean() > 0.9999


def test_a_class_may_win_between_places_where_it_loses() -> None:
    logits = np.array([[[10, 0]], [[0, 10]], [[7, 7]]], np.float32).repeat(2, axis=1)
    found = enlarge(logits, 60, 60)
    assert set(np.unique(found.label_map)) == {0, 1, 2}
    assert_right(found, probabilities(logits, 60, 60))


def test_the_first_of_equals_wins_wherever_it_stands() -> None:
    logits = np.zeros((6, 4, 4), np.float32)
    logits[:2] = -5  # no contenders: they go last
    logits[4:] = -7
    assert (enlarge(logits, 40, 40).label_map == 2).all()


@pytest.mark.parametrize("bands", [1, 3, 50])
def test_bands_do_not_show(bands: int, monkeypatch: pytest.MonkeyPatch) -> None:
    logits = smooth(5)
    whole = enlarge(logits, 203, 301)
    monkeypatch.setattr(pixel_classes, "BANDS_PER_CORE", bands)
    monkeypatch.setattr(pixel_classes, "LEAST_ROWS", 1)
    parts = enlarge(logits, 203, 301)
    assert np.array_equal(whole.label_map, parts.label_map)
    assert np.array_equal(whole.confidence, parts.confidence)


@given(
    channels=st.integers(1, 40),
    low=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    scale=st.sampled_from([0.01, 3.0, 60.0]),
    seed=st.integers(0, 1 << 30),
)
@settings(max_examples=60, deadline=None)
def test_any_shape(
    channels: int, low: tuple[int, int], size: tuple[int, int], scale: float, seed: int
) -> None:
    noise = np.random.default_rng(seed).standard_normal((channels, *low)) * scale
    logits = noise.astype(np.float32)
    found = enlarge(logits, *size)
    if channels > 1:
        assert_right(found, probabilities(logits, *size))
        return
    whole = torch.from_numpy(logits.astype(np.float64))[None]
    enlarged = functional.interpolate(whole, size, mode="bilinear", antialias=True)
    assert np.allclose(found.confidence, enlarged[0, 0].sigmoid(), atol=1e-5)


@given(channels=st.integers(2, 12), threshold=st.sampled_from([0.0, 0.2, 0.6, 1.0]), data=st.data())
@settings(max_examples=30, deadline=None)
def test_limits_leave_what_is_sure_enough(
    channels: int, threshold: float, data: st.DataObject
) -> None:
    logits = (np.random.default_rng(channels).standard_normal((channels, 9, 8)) * 4).astype("f4")
    ids = np.array(data.draw(st.permutations(range(channels + 2)))[:channels], np.uint8)
    limits = tuple(threshold if index % 2 else threshold / 2 for index in range(channels))
    rows, columns = (twice_bilinear(side, side, slice(0, side), 40) for side in (9, 8))
    free, limited = (
        PixelClasses(np.empty((40, 40), np.uint8), np.empty((40, 40), np.float32)) for _ in "ab"
    )
    find_pixel_classes(logits, rows, columns, ids, free)
    find_pixel_classes(logits, rows, columns, ids, limited, Limit(limits, 200))
    by_id = np.zeros(256, np.float32)
    by_id[:channels] = limits
    below = free.confidence < by_id[free.label_map]
    assert np.array_equal(limited.label_map, np.where(below, 200, free.label_map))
    assert np.array_equal(limited.confidence, np.where(below, 0, free.confidence))


def test_infinite_logits_are_very_large_ones() -> None:
    logits = np.zeros((4, 3, 3), np.float32)
    logits[0], logits[3] = -np.inf, -3e38
    logits[2, 1, 1] = np.inf
    found = enlarge(logits, 30, 30)
    assert np.isfinite(found.confidence).all()
    assert set(np.unique(found.label_map)) == {1, 2}
    assert found.label_map[15, 15] == 2
    assert found.confidence[15, 15] == 1
    assert found.label_map[0, 0] == 1  # of two that are equal, the first
    assert found.confidence[0, 0] == 0.5


def test_a_sure_pixel_passes_a_limit_of_one() -> None:
    logits = np.zeros((3, 2, 2), np.float32)
    logits[1] = 200
    rows = twice_bilinear(2, 2, slice(0, 2), 20)
    target = PixelClasses(np.empty((20, 20), np.uint8), np.empty((20, 20), np.float32))
    find_pixel_classes(logits, rows, rows, np.arange(3, dtype=np.uint8), target, Limit(1.0, 0))
    assert (target.label_map == 1).all()
    assert (target.confidence == 1).all()


def test_many_at_once_do_not_mix() -> None:
    pictures = [smooth(4) * np.float32(sign) for sign in (1, -1, 2, -2)]
    alone = [enlarge(logits, 150, 160).label_map for logits in pictures]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda logits: enlarge(logits, 150, 160), pictures * 4))
    for index, found in enumerate(together):
        assert np.array_equal(found.label_map, alone[index % 4])


@pytest.mark.parametrize("gap", [100.0, 158.0, 300.0, 3000.0])
def test_classes_that_are_far_apart_share_what_lies_between(gap: float) -> None:
    """In the middle, each is so far below its neighbour that its exponential is none."""
    logits = np.full((40, 1, 2), -500, np.float32)
    logits[0, 0], logits[1, 0] = (gap, 0), (0, gap)
    found = enlarge(logits, 4, 40)
    assert_right(found, probabilities(logits, 4, 40))
    assert (found.label_map[:, :20] == 0).all()
    assert (found.label_map[:, 20:] == 1).all()
    assert (found.confidence <= 1).all()


def test_a_single_channel_is_a_sigmoid() -> None:
    logits = smooth(1) * 100  # beyond what exp can take
    found = enlarge(logits, 90, 80)
    whole = torch.from_numpy(logits.astype(np.float64))[None]
    expected = functional.interpolate(whole, (90, 80), mode="bilinear", antialias=True)
    assert np.allclose(found.confidence, expected[0, 0].sigmoid(), atol=1e-4)
    assert not found.label_map.any()


def test_views_of_a_larger_picture_are_written_in_place() -> None:
    logits = smooth(3)
    label_map, confidence = np.full((70, 90), 9, np.uint8), np.full((70, 90), 9, np.float32)
    target = PixelClasses(label_map, confidence).part(slice(10, 60), slice(20, 80))
    rows = twice_bilinear(20, 20, slice(0, 20), 50)
    columns = twice_bilinear(30, 30, slice(0, 30), 60)
    find_pixel_classes(logits, rows, columns, np.arange(3, dtype=np.uint8), target)
    alone = enlarge(logits, 50, 60)
    assert np.array_equal(label_map[10:60, 20:80], alone.label_map)
    assert np.array_equal(confidence[10:60, 20:80], alone.confidence)
    label_map[10:60, 20:80] = 9
    assert (label_map == 9).all()


def test_an_infinite_logit_wins_where_rows_are_mixed() -> None:
    """A grid much smaller than the logits, whose rows are made of more than the kernel mixes."""
    logits = smooth(3, 40, 40)
    logits[1, :20], logits[2, 20:] = np.inf, -np.inf
    found = enlarge(logits, 5, 6)
    assert (found.label_map[:2] == 1).all()
    assert np.allclose(found.confidence[:2], 1)
    assert not (found.label_map[3:] == 2).any()
    assert np.isfinite(found.confidence).all()
