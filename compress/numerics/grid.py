"""Uniform quantization grids: which `scale` and `zero` round a group of numbers with the least error.

A grid holds the values `scale * (code - zero)` for the integer codes `low .. high`. Groups are rows:
every function takes `(groups, size)` arrays and gives one scale and one zero to each row, so a channel,
a block of 32 columns or a row of an embedding table are all the same to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_CHUNK = 1 << 17
"""Numbers that are searched at once, so that the temporaries stay in the processor's cache."""

_ROWS = 64
"""But at least so many groups, which are what arithmetic runs along."""

_SHRINK = np.linspace(1.0, 0.55, 19, dtype=np.float32)
"""Fractions of the full range that a search tries. Clipping the few largest numbers pays below about
6 bits; under half of the range it never won on the weights that were tried."""

_REFINEMENTS = 2


@dataclass(frozen=True)
class Codes:
    """The integers `low .. high` that a grid may use."""

    low: int
    high: int

    @property
    def middle(self) -> int:
        """The code of zero in a symmetric grid: 0 where codes are signed, 8 for `0 .. 15`."""
        return (self.low + self.high + 1) // 2

    @property
    def dtype(self) -> type[np.int8] | type[np.uint8]:
        """The 8-bit type that holds the codes, one in a byte."""
        return np.int8 if self.low < 0 else np.uint8


def unsigned(bits: int) -> Codes:
    """`0 .. 2^bits - 1`."""
    return Codes(0, (1 << bits) - 1)


def signed(bits: int) -> Codes:
    """`-(2^(bits-1) - 1) .. 2^(bits-1) - 1`: without the lowest code, so that negation is exact."""
    top = (1 << (bits - 1)) - 1
    return Codes(-top, top)


@dataclass(frozen=True)
class Grid:
    """One uniform grid a row. `scale` float32 `(groups, 1)`, `zero` int32 `(groups, 1)`; a negative
    scale is valid, and lets the lowest code stand for the largest number.
    """

    codes: Codes
    scale: np.ndarray
    zero: np.ndarray

    def encode(self, values: np.ndarray) -> np.ndarray:
        """The nearest codes of float32 `(groups, size)`, in the 8-bit type of the codes."""
        codes = np.empty(values.shape, self.codes.dtype)
        for part in _parts(values):
            steps = np.rint(values[part] / self.scale[part]) + self.zero[part]
            codes[part] = np.clip(steps, self.codes.low, self.codes.high)
        return codes

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """The float32 values of codes `(groups, size)`."""
        steps = codes.astype(np.int32) - self.zero
        return np.asarray(np.multiply(steps, self.scale, dtype=np.float32))


def fit_grid(
    values: np.ndarray,
    *,
    codes: Codes,
    symmetric: bool = True,
    search: bool = True,
    importance: np.ndarray | None = None,
) -> Grid:
    """The grid of each row of `values`, float32 `(groups, size)`.

    Without `search` the grid spans a row's range. With it, ranges that clip the largest numbers are
    tried too, and the scale is refined by least squares for the codes it gives, so that the sum of
    `importance * (value - rounded)^2` is never larger. `importance` is `(size,)` or `(groups, size)`,
    not negative: the diagonal of the Hessian, or mean squared activations, of the input channels.
    """
    fits = [
        _fit(
            values[part].astype(np.float32),
            codes,
            symmetric,
            search,
            importance[part] if importance is not None and importance.ndim == 2 else importance,
        )
        for part in _parts(values)
    ]
    scale, zero = (np.concatenate(parts) for parts in zip(*fits, strict=True))
    return Grid(codes, scale, zero)


def with_half_scales(grid: Grid) -> Grid:
    """The grid whose scales are exact in fp16, to be stored in half the bytes; `grid` itself where some
    scale is out of fp16's normal range, and would lose more than 11 bits of precision to rounding.
    """
    size = np.abs(grid.scale)
    limits = np.finfo(np.float16)
    if size.size and (size.min() < limits.smallest_normal or size.max() > limits.max):
        return grid
    return Grid(grid.codes, grid.scale.astype(np.float16).astype(np.float32), grid.zero)


def quantization_error(values: np.ndarray, grid: Grid, *, importance: np.ndarray | None = None) -> np.ndarray:
    """The weighted squared error of each row, `(groups, 1)`."""
    return _error(values, grid.decode(grid.encode(values)), importance)


def _parts(values: np.ndarray) -> Iterator[slice]:
    """Slices of the rows that hold about `_CHUNK` numbers each."""
    rows = max(_ROWS, _CHUNK // max(1, values.shape[1]))
    for start in range(0, len(values), rows):
        yield slice(start, start + rows)


def _fit(
    values: np.ndarray, codes: Codes, symmetric: bool, search: bool, importance: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """The best scales and zeros, (groups, 1) each, of some rows."""
    found = _Search(values, codes, symmetric, importance).best(_SHRINK if search else _SHRINK[:1], search)
    return found[0][:, None], found[1][:, None].astype(np.int32)


_Pair = tuple[np.ndarray, np.ndarray]
"""Scales and zeros, float32 (groups,)."""


class _Search:
    """A search for the grids of some groups.

    Everything lies as (size, groups), so that what is done for all groups at once runs along memory: with
    groups of 32 numbers side by side it took four times as long.
    """

    def __init__(
        self, values: np.ndarray, codes: Codes, symmetric: bool, importance: np.ndarray | None
    ) -> None:
        self.values = np.ascontiguousarray(values.T)
        self.codes, self.symmetric = codes, symmetric
        self.importance = None if importance is None else _columns(importance)

    def best(self, shrink: np.ndarray, search: bool) -> _Pair:
        """Of the candidates and what refines them, the pair with the smallest error, group by group."""
        candidates = self._symmetric(shrink) if self.symmetric else self._asymmetric(shrink)
        best = next(candidates)
        if not search:
            return best
        least = self._error(*best)
        best, least = self._better(best, least, candidates)
        for _ in range(_REFINEMENTS):
            best, least = self._better(best, least, self._refined(best))
        return best

    def _better(self, best: _Pair, least: np.ndarray, others: Iterable[_Pair]) -> tuple[_Pair, np.ndarray]:
        for scale, zero in others:
            error = self._error(scale, zero)
            won = error < least
            best = np.where(won, scale, best[0]), np.where(won, zero, best[1])
            least = np.minimum(error, least)
        return best, least

    def _error(self, scale: np.ndarray, zero: np.ndarray) -> np.ndarray:
        difference = self._steps(scale, zero)
        difference *= scale
        difference -= self.values
        difference *= difference
        if self.importance is not None:
            difference *= self.importance
        return np.asarray(difference.sum(axis=0))

    def _steps(self, scale: np.ndarray, zero: np.ndarray) -> np.ndarray:
        """Code less zero of the nearest codes, float32 in memory of its own."""
        steps: np.ndarray = self.values / scale
        np.rint(steps, out=steps)
        np.maximum(steps, self.codes.low - zero, out=steps)
        np.minimum(steps, self.codes.high - zero, out=steps)
        return steps

    def _refined(self, best: _Pair) -> Iterator[_Pair]:
        """With the least-squares scale, for their zeros and (where those are free) for the zeros beside."""
        scale, zero = best
        for shift in (0,) if self.symmetric else (0, -1, 1):
            moved = np.clip(zero + np.float32(shift), self.codes.low, self.codes.high)
            yield self._least_squares(scale, moved), moved

    def _least_squares(self, scale: np.ndarray, zero: np.ndarray) -> np.ndarray:
        """The scale that is best for the codes of a pair: sum(w v c) / sum(w c^2), c = code - zero."""
        steps = self._steps(scale, zero)
        weighted = steps if self.importance is None else steps * self.importance
        product = (weighted * self.values).sum(axis=0)
        square = (weighted * steps).sum(axis=0)
        return _usable(np.divide(product, square, out=scale.copy(), where=square > 0))

    def _symmetric(self, shrink: np.ndarray) -> Iterator[_Pair]:
        """Scales of grids with zero in the middle. Where there is one code more below it than above
        (0 .. 15 around 8), that code is given to the number of largest magnitude, by the scale's sign.
        """
        codes = self.codes
        below, above = codes.middle - codes.low, codes.high - codes.middle
        low, high = self.values.min(axis=0), self.values.max(axis=0)
        largest = np.where(-low >= high, low, high)
        zero = np.full(len(largest), codes.middle, np.float32)
        for factor in shrink:
            if below != above:
                yield _usable(-largest * (factor / below)), zero
            yield _usable(np.abs(largest) * (factor / above)), zero

    def _asymmetric(self, shrink: np.ndarray) -> Iterator[_Pair]:
        """Scales and zeros of grids that span a part of the range and hold the value 0, as runtimes that
        store the zero point as a code need it.
        """
        codes = self.codes
        low, high = np.minimum(self.values.min(axis=0), 0), np.maximum(self.values.max(axis=0), 0)
        for factor in shrink:
            scale = _usable((high - low) * (factor / (codes.high - codes.low)))
            zero = np.rint(codes.low - low * factor / scale)
            yield scale, np.clip(zero, codes.low, codes.high).astype(np.float32)


def _columns(importance: np.ndarray) -> np.ndarray:
    """Weights as (size, groups), or (size, 1) where they are the same for all groups."""
    return np.ascontiguousarray(importance.T if importance.ndim == 2 else importance[:, None], np.float32)


def _usable(scale: np.ndarray) -> np.ndarray:
    """Scales as float32, with 1 for rows of zeros and whatever else is too small to divide by."""
    tiny = np.finfo(np.float32).tiny
    return np.where(np.abs(scale) < tiny, 1, scale).astype(np.float32)


def _error(values: np.ndarray, rounded: np.ndarray, importance: np.ndarray | None) -> np.ndarray:
    squared = np.square(values - rounded)
    if importance is not None:
        squared = squared * importance
    return np.asarray(squared.sum(axis=1, keepdims=True, dtype=np.float64))
