"""Channels of a layer's inputs scaled, so that rounding costs least where it matters most.

AWQ (Lin et al. 2023, arXiv:2306.00978): (x / s) (W diag(s))^T = x W^T for any s > 0. A channel with s above 1
takes a larger part of its group's grid and is rounded the finer for it, at the cost of its neighbours. Here
s_j is a power of the channel's root mean square, and the power is the one with the least squared error of
the layer's outputs, tr(E H E^T), after rounding to the nearest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from compress.numerics.groups import GroupGrid

    Fit = Callable[[np.ndarray, np.ndarray], GroupGrid]

STRENGTHS = (0.0, 0.15, 0.3, 0.45, 0.6)
"""Powers that are tried; 0 leaves channels as they are."""
_ROWS = 256
"""Rows of all matrices by which powers are compared: they do not depend on each other."""


def best_scaling(matrices: Sequence[np.ndarray], hessian: np.ndarray, fit: Fit) -> np.ndarray:
    """The factors s, float32 (K,), for float32 matrices (N_i, K) that read inputs with this Hessian (K, K).

    `fit(matrix, importance)` finds the grids of a matrix whose columns weigh as `importance` (K,) says.
    All ones where no power is better than 0, or where the Hessian is not finite.
    """
    plain = np.ones(len(hessian), np.float32)
    if not np.isfinite(hessian).all():
        return plain
    sample = _sample(matrices)
    size = np.sqrt(np.diag(hessian))
    candidates = [_factors(size, strength) for strength in STRENGTHS]
    errors = [_error(sample, hessian, factors, fit) for factors in candidates]
    best = int(np.argmin(errors))
    return candidates[best] if errors[best] < errors[0] else plain


def _factors(size: np.ndarray, strength: float) -> np.ndarray:
    """s_j = size_j ^ strength, so that the largest and the least factor are each other's inverse."""
    used = size > 0
    factors = np.ones(len(size), np.float64)
    factors[used] = size[used].astype(np.float64) ** strength
    return np.asarray(factors / np.sqrt(factors.max() * factors.min()), np.float32)


def _error(sample: np.ndarray, hessian: np.ndarray, factors: np.ndarray, fit: Fit) -> float:
    grid = fit(sample * factors, np.diag(hessian) / factors**2)
    error = grid.decode(grid.encode(sample * factors)) / factors - sample
    return float(np.einsum("nk,nk->", error @ hessian, error))


def _sample(matrices: Sequence[np.ndarray]) -> np.ndarray:
    """Every so-manieth row of all matrices."""
    total = sum(len(matrix) for matrix in matrices)
    return np.concatenate([matrix[:: -(-total // _ROWS)] for matrix in matrices])
