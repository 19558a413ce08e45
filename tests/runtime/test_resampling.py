"""Weights against PyTorch's bilinear interpolation, in double precision."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from atrous.runtime.resampling import Resampling, twice_bilinear

sides = st.integers(1, 90)


def interpolated(rows: torch.Tensor, size: int) -> torch.Tensor:
    """Each row of a matrix resized."""
    return functional.interpolate(rows[None], size, mode="linear", align_corners=False)[0]


def resized(rows: torch.Tensor, size: int) -> torch.Tensor:
    """The same, antialiased where it shrinks."""
    image = rows[None, None]
    wanted = (len(rows), size)
    return functional.interpolate(image, wanted, mode="bilinear", antialias=True)[0, 0]


def whole_matrix(way: Resampling) -> np.ndarray:
    matrix = np.zeros((way.size, 90))
    block = way.block(slice(0, way.size))
    matrix[:, block.sources] = block.weights.T
    return matrix


@given(sides, sides, sides, st.data())
def test_two_resizings_in_one(source: int, between: int, result: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, between - 1))
    part = slice(start, data.draw(st.integers(start + 1, between)))
    way = twice_bilinear(source, between, part, result)
    one_at_a_time = torch.eye(source, dtype=torch.float64)
    expected = resized(interpolated(one_at_a_time, between)[:, part], result).T
    matrix = whole_matrix(way)
    assert np.allclose(matrix[:, :source], expected, atol=1e-6)
    assert not matrix[:, source:].any()


@given(sides, sides)
def test_between_of_the_same_size_is_one_resizing(source: int, result: int) -> None:
    way = twice_bilinear(source, source, slice(0, source), result)
    expected = resized(torch.eye(source, dtype=torch.float64), result).T
    assert np.allclose(whole_matrix(way)[:, :source], expected, atol=1e-6)
    assert way.taps <= 2 or result < source


def test_corners_are_cut_as_by_two_resizings() -> None:
    twice = whole_matrix(twice_bilinear(4, 16, slice(0, 16), 50))
    once = whole_matrix(twice_bilinear(4, 4, slice(0, 4), 50))
    assert np.abs(twice - once).max() > 0.03


@given(sides, sides, sides)
def test_sources_lie_within_the_source(source: int, between: int, result: int) -> None:
    way = twice_bilinear(source, between, slice(0, between), result)
    sources = way.sources(slice(0, way.size))
    assert 0 <= sources.start < sources.stop <= source


def test_all_rows_at_once_are_those_of_the_weights() -> None:
    way = twice_bilinear(8, 32, slice(3, 29), 5)
    planes = np.random.default_rng(0).standard_normal((3, 8, 4)).astype(np.float32)
    expected = np.einsum("rs,csw->crw", whole_matrix(way)[:, :8], planes)
    assert np.allclose(way.rows_of(planes), expected, atol=1e-6)


def test_padded_weights_are_the_same_and_zeros() -> None:
    way = twice_bilinear(8, 8, slice(0, 8), 20)
    padded = way.padded_weights(3)
    assert padded.shape == (20, 3)
    assert np.array_equal(padded[:, : way.taps], way.weights)
    assert not padded[:, way.taps :].any()
    with pytest.raises(ValueError, match="2 taps don't fit in 1"):
        way.padded_weights(1)


@given(sides, sides, sides)
def test_two_enlargements_take_three_taps(source: int, more: int, still_more: int) -> None:
    between = source + more
    way = twice_bilinear(source, between, slice(0, between), between + still_more)
    assert way.taps <= 3
