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

_CHUNK = 1 << 18
"""Numbers that are searched at once, so that the temporaries stay in the processor's cache."""

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
    rows = max(1, _CHUNK // max(1, values.shape[1]))
    for start in range(0, len(values), rows):
        yield slice(start, start + rows)


def _fit(
    values: np.ndarray, codes: Codes, symmetric: bool, search: bool, importance: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """The best `(scale, zero)` of each row over the candidates."""
    candidates = _symmetric_candidates if symmetric else _asymmetric_candidates
    grids = (Grid(codes, *pair) for pair in candidates(values, codes, _SHRINK if search else _SHRINK[:1]))
    best = next(grids)
    if not search:
        return best.scale, best.zero
    best = _best(values, best, grids, importance)
    for _ in range(_REFINEMENTS):
        best = _best(values, best, _refined(values, best, symmetric, importance), importance)
    return best.scale, best.zero


def _best(values: np.ndarray, best: Grid, others: Iterable[Grid], importance: np.ndarray | None) -> Grid:
    """Row by row, the grid with the smallest error."""
    least = quantization_error(values, best, importance=importance)
    for other in others:
        error = quantization_error(values, other, importance=importance)
        scale = np.where(error < least, other.scale, best.scale)
        zero = np.where(error < least, other.zero, best.zero)
        best, least = Grid(best.codes, scale, zero), np.minimum(error, least)
    return best


def _refined(
    values: np.ndarray, grid: Grid, symmetric: bool, importance: np.ndarray | None
) -> Iterator[Grid]:
    """`grid` with the least-squares scale, for its zero and (where it is free) for the zeros beside it."""
    for shift in (0,) if symmetric else (0, -1, 1):
        zero = np.clip(grid.zero + shift, grid.codes.low, grid.codes.high)
        yield _least_squares(values, Grid(grid.codes, grid.scale, zero), importance)


def _symmetric_candidates(
    values: np.ndarray, codes: Codes, shrink: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Scales of grids with zero in the middle. Where there is one code more below it than above
    (0 .. 15 around 8), that code is given to the number of largest magnitude, by the scale's sign.
    """
    zero = np.full((len(values), 1), codes.middle, np.int32)
    below, above = codes.middle - codes.low, codes.high - codes.middle
    low, high = values.min(axis=1, keepdims=True), values.max(axis=1, keepdims=True)
    largest = np.where(-low >= high, low, high)
    for factor in shrink:
        if below == above:
            yield _usable(np.abs(largest) * (factor / above)), zero
        else:
            yield _usable(-largest * (factor / below)), zero
            yield _usable(np.abs(largest) * (factor / above)), zero


def _asymmetric_candidates(
    values: np.ndarray, codes: Codes, shrink: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Scales and zeros of grids that span a part of the row's range and hold the value 0, as
    runtimes that store the zero point as a code need it.
    """
    low = np.minimum(values.min(axis=1, keepdims=True), 0)
    high = np.maximum(values.max(axis=1, keepdims=True), 0)
    for factor in shrink:
        scale = _usable((high - low) * (factor / (codes.high - codes.low)))
        zero = np.rint(codes.low - low * factor / scale)
        yield scale, np.clip(zero, codes.low, codes.high).astype(np.int32)


def _least_squares(values: np.ndarray, grid: Grid, importance: np.ndarray | None) -> Grid:
    """The scale that is best for the codes that `grid` gives: sum(w v c) / sum(w c^2), c = code - zero."""
    steps = (grid.encode(values).astype(np.int32) - grid.zero).astype(np.float32)
    weighted = steps if importance is None else steps * importance
    square = (weighted * steps).sum(axis=1, keepdims=True)
    product = (weighted * values).sum(axis=1, keepdims=True)
    scale = np.divide(product, square, out=grid.scale.copy(), where=square > 0)
    return Grid(grid.codes, _usable(scale), grid.zero)


def _usable(scale: np.ndarray) -> np.ndarray:
    """Scales as float32, with 1 for rows of zeros and whatever else is too small to divide by."""
    tiny = np.finfo(np.float32).tiny
    return np.where(np.abs(scale) < tiny, 1, scale).astype(np.float32)


def _error(values: np.ndarray, rounded: np.ndarray, importance: np.ndarray | None) -> np.ndarray:
    squared = np.square(values - rounded)
    if importance is not None:
        squared = squared * importance
    return np.asarray(squared.sum(axis=1, keepdims=True, dtype=np.float64))
