"""Which range of an activation 8 bits should span, from what was seen of it on calibration data.

Every rule gives a range `(low, high)` that holds 0, so that zero (padding, ReLU) has a code of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from compress.numerics.grid import Grid

if TYPE_CHECKING:
    from collections.abc import Callable

    from compress.numerics.grid import Codes

Rule = Literal["minmax", "mean", "percentile", "entropy", "mse"]

BINS = 2048
"""Bins of a histogram: eight for each code of an 8-bit grid, as TensorRT's calibration uses."""

_FRACTIONS = np.linspace(0.1, 1.0, 46)
"""Parts of the range that the searches try."""

_MARGIN = 1e-6
"""Share of a bin by which rounding may push the largest value over the last edge."""


class Histogram:
    """Counts of a stream of numbers, in `BINS` bins whose width doubles when a number falls outside.

    Two neighbours are merged when the width doubles, so that no count is ever split or guessed. The
    exact extremes, and their means over what was added (an item or a batch each), are kept as well.
    """

    def __init__(self) -> None:
        self.counts = np.zeros(BINS, np.int64)
        self.low, self.high = np.inf, -np.inf
        self._lows: list[float] = []
        self._highs: list[float] = []
        self._first = 0  # the first bin begins at _first * width
        self._width = 0.0

    @property
    def edges(self) -> np.ndarray:
        """Edges of the bins, float64 (BINS + 1)."""
        return np.asarray((self._first + np.arange(BINS + 1)) * self._width)

    @property
    def mean_range(self) -> tuple[float, float]:
        """The mean of the extremes of what was added."""
        return float(np.mean(self._lows)), float(np.mean(self._highs))

    def add(self, values: np.ndarray, *, count: bool = True) -> None:
        """Add finite numbers of any shape; without `count` only their extremes are kept."""
        if not values.size:
            return
        low, high = float(values.min()), float(values.max())
        self._lows.append(low)
        self._highs.append(high)
        self.low, self.high = min(self.low, low), max(self.high, high)
        if count:
            self._cover(self.low, self.high)
            places = np.floor(values.ravel() * (1 / self._width)).astype(np.int64) - self._first
            self.counts += np.bincount(np.clip(places, 0, BINS - 1), minlength=BINS)

    def _cover(self, low: float, high: float) -> None:
        """Widen the bins until they span `low .. high`. The first range fills at least half of them."""
        if not self._width:
            extent = max(high - low, abs(low) * 1e-5, abs(high) * 1e-5, 1e-30)
            self._width = extent / (BINS - 2)
            self._first = int(np.floor(low / self._width))
        while not self._spans(low, high):
            self._double(low)

    def _spans(self, low: float, high: float) -> bool:
        first, last = low / self._width, high / self._width
        return first >= self._first - _MARGIN and last <= self._first + BINS + _MARGIN

    def _double(self, low: float) -> None:
        """Merge bins in pairs, and move the first to where `low` is within reach."""
        pairs = np.zeros(BINS + 2, np.int64)
        shift = self._first % 2
        pairs[shift : shift + BINS] = self.counts
        merged = pairs[0::2] + pairs[1::2]  # (BINS / 2 + 1,) from bin _first // 2 on
        old = self._first // 2
        self._width *= 2
        room = BINS - len(merged)
        self._first = int(np.clip(np.floor(low / self._width), old - room, old))
        self.counts = np.zeros(BINS, np.int64)
        start = old - self._first
        self.counts[start : start + len(merged)] = merged


def grid_of(low: float, high: float, *, codes: Codes, symmetric: bool = False) -> Grid:
    """The grid (of one group) that spans `low .. high` and 0; `symmetric` puts 0 in the middle, but at
    the lowest code where codes are unsigned and no number is negative.

    Jacob et al. 2018 (arXiv:1712.05877), equation 1 and section 3.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    if symmetric and (low < 0 or codes.low < 0):
        scale, zero = max(-low, high) / (codes.high - codes.middle), codes.middle
    else:
        scale = (high - low) / (codes.high - codes.low)
        zero = round(codes.low - low / scale) if scale else codes.low
    scale = scale if scale >= np.finfo(np.float32).tiny else 1.0
    return Grid(codes, np.full((1, 1), scale, np.float32), np.full((1, 1), zero, np.int32))


def round_to(grid: Grid, values: np.ndarray) -> np.ndarray:
    """The float32 values that remain of `values`, of any shape, on a grid of one group."""
    flat = values.reshape(1, -1)
    return grid.decode(grid.encode(flat)).reshape(values.shape)


def choose_range(
    histogram: Histogram, *, rule: Rule, codes: Codes, symmetric: bool, percentile: float = 99.999
) -> tuple[float, float]:
    """The range that `rule` takes from a histogram (from its extremes alone, for `minmax` and `mean`).

    `percentile` is the share (in percent) of the numbers that its rule keeps on each side.
    """
    if histogram.low > histogram.high:
        return 0.0, 0.0  # nothing was seen
    if rule == "minmax":
        return _with_zero(histogram.low, histogram.high)
    if rule == "mean":
        return _with_zero(*histogram.mean_range)
    if rule == "percentile":
        return percentile_range(histogram, percentile)
    if rule == "entropy":
        return entropy_range(histogram, levels=codes.high - codes.low + 1)
    return mse_range(histogram, codes=codes, symmetric=symmetric)


def percentile_range(histogram: Histogram, percentile: float) -> tuple[float, float]:
    """The range without the (100 - percentile) percent of the numbers at each end."""
    cumulative = np.cumsum(histogram.counts)
    outside = cumulative[-1] * (1 - percentile / 100)
    first = int(np.searchsorted(cumulative, outside, side="right"))
    last = int(np.searchsorted(cumulative, cumulative[-1] - outside, side="left"))
    edges = histogram.edges
    low, high = max(edges[first], histogram.low), min(edges[last + 1], histogram.high)
    return _with_zero(float(low), float(high))


def entropy_range(histogram: Histogram, *, levels: int = 256) -> tuple[float, float]:
    """The range whose clipped, rounded distribution is nearest to the one seen, by KL divergence.

    Migacz 2017, "8-bit Inference with TensorRT" (GTC), with its thresholds on magnitudes; the grid has
    `levels` codes for both signs, or for one where only one occurs.
    """
    counts = _magnitudes(histogram)
    one_sided = histogram.low >= 0 or histogram.high <= 0
    quantized = levels if one_sided else levels // 2
    if len(counts) <= quantized:
        return _with_zero(histogram.low, histogram.high)
    tried = range(quantized, len(counts) + 1, max(1, len(counts) // 256))
    divergences = [_divergence(counts, bins, quantized) for bins in tried]
    limit = _width(histogram) * tried[int(np.argmin(divergences))]
    return _with_zero(max(histogram.low, -limit), min(histogram.high, limit))


def mse_range(histogram: Histogram, *, codes: Codes, symmetric: bool) -> tuple[float, float]:
    """The range with the least mean squared error of rounding and clipping, over a grid of fractions
    of both ends.
    """
    low, high = _with_zero(histogram.low, histogram.high)
    if symmetric or low == 0 or high == 0:
        pairs = [(low * fraction, high * fraction) for fraction in _FRACTIONS]
        return min(pairs, key=_cost(histogram, codes, symmetric))
    cost = _cost(histogram, codes, symmetric)
    for _ in range(2):  # one end after the other: their errors hardly depend on each other
        high = min((high * fraction for fraction in _FRACTIONS), key=lambda end: cost((low, end)))
        low = min((low * fraction for fraction in _FRACTIONS), key=lambda end: cost((end, high)))
    return low, high


def _cost(histogram: Histogram, codes: Codes, symmetric: bool) -> Callable[[tuple[float, float]], float]:
    used = histogram.counts > 0
    edges = histogram.edges
    centers = ((edges[1:] + edges[:-1]) / 2)[used].astype(np.float32)
    counts = histogram.counts[used]

    def cost(ends: tuple[float, float]) -> float:
        grid = grid_of(*ends, codes=codes, symmetric=symmetric)
        return float(np.dot(np.square(round_to(grid, centers) - centers, dtype=np.float64), counts))

    return cost


def _with_zero(low: float, high: float) -> tuple[float, float]:
    return min(low, 0.0), max(high, 0.0)


def _width(histogram: Histogram) -> float:
    return float(histogram.edges[1] - histogram.edges[0])


def _magnitudes(histogram: Histogram) -> np.ndarray:
    """Counts of |value| in bins of the histogram's width, from 0 to the largest magnitude."""
    edges = histogram.edges
    places = np.floor(np.abs((edges[1:] + edges[:-1]) / 2) / _width(histogram)).astype(np.int64)
    counts = np.bincount(places, weights=histogram.counts)
    return np.asarray(counts[: int(np.flatnonzero(counts)[-1]) + 1])


def _divergence(counts: np.ndarray, bins: int, levels: int) -> float:
    """KL divergence of the first `bins` bins, merged to `levels` and spread again, from what was seen,
    with everything beyond counted in the last of them.
    """
    seen = counts[:bins].copy()
    inside = seen.copy()
    seen[-1] += counts[bins:].sum()
    group = np.arange(bins) * levels // bins
    full = np.bincount(group, weights=inside, minlength=levels)
    filled = np.bincount(group, weights=inside > 0, minlength=levels)
    mean = np.divide(full, filled, out=np.zeros(levels), where=filled > 0)
    spread = np.where(inside > 0, mean[group], 0)
    return _kl(seen, spread)


def _kl(seen: np.ndarray, spread: np.ndarray) -> float:
    """The sum of p log(p / q); what is seen where the other has nothing costs as if that were tiny."""
    p = seen / seen.sum()
    total = spread.sum()
    q = np.maximum(spread / total if total else spread, 1e-12)
    used = p > 0
    return float((p[used] * np.log(p[used] / q[used])).sum())
