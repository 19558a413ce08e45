"""Bilinear resizing of one side, once or twice over, as small matrices to multiply with."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64


@dataclass(frozen=True)
class Block:
    """Some neighbouring results of a side, and the matrix that makes them of their sources."""

    results: slice
    sources: slice
    weights: Float32[np.ndarray, "sources results"]


@dataclass(frozen=True)
class Resampling:
    """How each position of a side's result is made of a few neighbouring source positions."""

    first: Int64[np.ndarray, " results"]  # the first source position
    weights: Float32[np.ndarray, "results taps"]  # of it and those that follow; rows sum to 1

    @property
    def size(self) -> int:
        """Positions of the result."""
        return len(self.first)

    @property
    def taps(self) -> int:
        """The most source positions that one result needs."""
        return int(self.weights.shape[1])

    def padded_weights(self, taps: int) -> Float32[np.ndarray, "results padded_taps"]:
        """The weights of so many source positions, of which the last may be beyond the end."""
        if self.taps > taps:
            raise ValueError(f"{self.taps} taps don't fit in {taps}; enlarge before shrinking")
        return np.pad(self.weights, ((0, 0), (0, taps - self.taps)))

    def sources(self, results: slice) -> slice:
        """The source positions that some results need."""
        part = self.first[results]
        return slice(int(part[0]), int(part[-1]) + self.taps)

    def block(self, results: slice) -> Block:
        """Some results."""
        sources, first = self.sources(results), self.first[results]
        matrix = np.zeros((sources.stop - sources.start, len(first)), np.float32)
        taps = first - sources.start + np.arange(self.taps)[:, None]
        matrix[taps, np.arange(len(first))] = self.weights[results].T
        return Block(results, sources, matrix)

    def rows_of(
        self, planes: Float32[np.ndarray, "channels sources width"]
    ) -> Float32[np.ndarray, "channels results width"]:
        """All results, where the side is that of the rows."""
        block = self.block(slice(0, self.size))
        return np.asarray(np.matmul(block.weights.T, planes[:, block.sources]))


def twice_bilinear(source: int, between: int, part: slice, result: int) -> Resampling:
    """Resize a side to `between` positions, cut a part of these out, and resize it to `result`.

    Half-pixel centres, edges repeated. Where the second shrinks, it is antialiased, as
    torchvision's `resize` is. One resizing can't stand for two: where the first leaves a corner,
    the second cuts it off. With `between` equal to `source` there is but one.

    >>> twice_bilinear(2, 2, slice(0, 2), 4).weights.tolist()
    [[1.0, 0.0], [0.75, 0.25], [0.25, 0.75], [0.0, 1.0]]
    """
    positions, shares = _antialiased(part.stop - part.start, result)
    positions += part.start
    below, above, second = (values[positions] for values in _neighbours(source, between))
    taps = int((above.max(axis=1) - below[:, 0]).max()) + 1
    first = np.minimum(below[:, 0], source - taps)
    weights = np.zeros((result, taps), np.float64)
    for index, term in ((below, shares * (1 - second)), (above, shares * second)):
        for of_index, of_term in zip(index.T, term.T, strict=True):
            weights[np.arange(result), of_index - first] += of_term
    return Resampling(first, weights.astype(np.float32))


def _antialiased(
    source: int, result: int
) -> tuple[Int64[np.ndarray, "results taps"], Float64[np.ndarray, "results taps"]]:
    """The source positions of each result, and their shares: a triangle around its centre.

    It reaches one position to both sides, or as far as the next result's centre where these lie
    farther apart. Positions without a share repeat the first.
    """
    step = source / result
    reach = max(step, 1.0)
    centers = (np.arange(result)[:, None] + 0.5) * step
    first = np.maximum(np.floor(centers - reach + 0.5), 0).astype(np.int64)
    stop = np.minimum(np.floor(centers + reach + 0.5), source).astype(np.int64)
    positions = first + np.arange((stop - first).max())
    shares = np.maximum(1 - np.abs(positions + 0.5 - centers) / reach, 0)
    shares[positions >= stop] = 0
    shares /= shares.sum(axis=1, keepdims=True)
    return np.where(shares > 0, positions, first), shares


def _neighbours(
    source: int, result: int
) -> tuple[Int64[np.ndarray, " r"], Int64[np.ndarray, " r"], Float64[np.ndarray, " r"]]:
    """The two source positions of each result, and the share of the second."""
    centers = (np.arange(result) + 0.5) * (source / result) - 0.5
    centers = np.clip(centers, 0, source - 1)
    low = centers.astype(np.int64)
    share = centers - low
    return low, np.where(share > 0, low + 1, low), share
