"""Move the difficulty of rounding from activations to weights, channel by channel.

SmoothQuant (Xiao et al. 2022, arXiv:2211.10438): (x / s) (s W) = x W for any s > 0, and an s that is
large where a channel of x is makes x / s easier to round. All weights are (N, K): a row an output channel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from compress.numerics.calibrate import grid_of, round_to
from compress.numerics.grid import fit_grid, signed, unsigned

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ALPHAS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
"""Strengths that are tried: 0 leaves activations as they are, 1 makes all channels alike."""

_WIDEST = 1e4
"""Largest ratio of a factor to the typical one, so that no channel is pushed out of float32's reach."""


def migration(x_limit: np.ndarray, weights: Sequence[np.ndarray], *, alpha: float) -> np.ndarray:
    """The factors s, float32 (K,): s_j = max|x_j|^alpha / max|W_j|^(1 - alpha) (equation 4), scaled so
    that their geometric mean is 1. Channels that are always 0, on either side, keep a factor of 1.

    `x_limit` (K,) are the largest magnitudes of the channels of x, `weights` all (N, K) that x meets.
    """
    w_limit = np.max([np.abs(weight).max(axis=0) for weight in weights], axis=0).astype(np.float64)
    used = (x_limit > 0) & (w_limit > 0)
    if not used.any():
        return np.ones(len(x_limit), np.float32)
    logs = alpha * np.log(x_limit[used], dtype=np.float64) - (1 - alpha) * np.log(w_limit[used])
    logs -= logs.mean()
    factors = np.ones(len(x_limit))
    factors[used] = np.exp(np.clip(logs, -np.log(_WIDEST), np.log(_WIDEST)))
    return factors.astype(np.float32)


class RoundingError:
    """The error of 8-bit products of a sample after a migration, relative to their power: the mean over
    the weights of |x W^T - Q(x / s) Q(s W)^T|^2 / |x W^T|^2.

    x / s gets one uint8 grid over the range that the channels' limits give; weights get int8 grids by
    output channel.
    """

    def __init__(
        self, x: np.ndarray, weights: Sequence[np.ndarray], *, low: np.ndarray, high: np.ndarray
    ) -> None:
        """`x` (rows, K) is a sample; `low` and `high` (K,) are the channels' limits over all data."""
        self._x, self._weights, self._low, self._high = x, weights, low, high
        self._exact = [x @ weight.T for weight in weights]

    def __call__(self, factors: np.ndarray) -> float:
        """The error with the factors s (K,)."""
        low, high = float((self._low / factors).min()), float((self._high / factors).max())
        rounded = round_to(grid_of(low, high, codes=unsigned(8)), self._x / factors)
        pairs = zip(self._weights, self._exact, strict=True)
        return float(np.mean([_relative_error(rounded, weight * factors, exact) for weight, exact in pairs]))


def best_migration(
    x: np.ndarray,
    weights: Sequence[np.ndarray],
    *,
    low: np.ndarray,
    high: np.ndarray,
    alphas: Sequence[float] = ALPHAS,
) -> tuple[np.ndarray, float]:
    """The factors of the alpha with the least `RoundingError`, and by how many times they lower it.

    From the middle of `alphas` the search goes to whichever side lowers the error, as long as it does.
    Without a gain the factors are 1, and so is the ratio.
    """
    error = RoundingError(x, weights, low=low, high=high)
    plain = np.ones(x.shape[1], np.float32)
    limit = np.maximum(np.abs(low), np.abs(high))
    ordered = [migration(limit, weights, alpha=alpha) for alpha in sorted(alphas)]
    place, least = _descend(lambda index: error(ordered[index]), len(ordered))
    before = error(plain)
    if not 0 < least < before:
        return plain, 1.0
    return ordered[place], before / least


def _descend(cost: Callable[[int], float], count: int) -> tuple[int, float]:
    """The place of a local minimum of `cost` over 0 .. count - 1, and the minimum."""
    place = count // 2
    least = cost(place)
    for step in (1, -1):
        start = place
        while 0 <= place + step < count and (found := cost(place + step)) < least:
            place, least = place + step, found
        if place != start:
            break
    return place, least


def _relative_error(rounded_x: np.ndarray, scaled_weight: np.ndarray, exact: np.ndarray) -> float:
    grid = fit_grid(scaled_weight, codes=signed(8), search=False)
    error = exact - rounded_x @ grid.decode(grid.encode(scaled_weight)).T
    power = float(np.square(exact, dtype=np.float64).sum())
    return float(np.square(error, dtype=np.float64).sum()) / power if power else 0.0
