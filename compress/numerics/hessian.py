"""The Hessian of a layer's squared error, gathered from its inputs, and the factor of its inverse.

For a layer `y = W x` the squared error of a row w of W is (w - q)^T H (w - q) with H = E[x x^T]: one matrix
for all rows, and for all layers that read the same x.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import blas, lapack

_GROWTH = 10.0
_LARGEST = 10.0
"""Damping beyond which nothing of the matrix is left but its diagonal."""
_MIRRORED = 256
"""Columns whose other triangle is written at once."""


class Hessian:
    """The mean of x x^T over rows x, float32 (K, K), as batches of rows come in."""

    def __init__(self, size: int) -> None:
        self._sum = np.zeros((size, size), np.float32, order="F")  # its upper triangle
        self.rows = 0

    def add(self, rows: np.ndarray) -> None:
        """Add float32 rows (n, K)."""
        self._sum = blas.ssyrk(1.0, rows.T, beta=1.0, c=self._sum, overwrite_c=1)
        self.rows += len(rows)

    @property
    def size(self) -> int:
        """K."""
        return len(self._sum)

    def divide(self, factors: np.ndarray) -> None:
        """Make it that of rows divided by `factors` (K,)."""
        self._sum /= factors
        self._sum /= factors[:, None]

    @property
    def matrix(self) -> np.ndarray:
        """The mean, both triangles: a copy, made without others, which may be hundreds of megabytes each."""
        mean: np.ndarray = self._sum / np.float32(max(self.rows, 1))
        for start in range(0, len(mean), _MIRRORED):
            end = start + _MIRRORED
            mean[end:, start:end] = mean[start:end, end:].T
            corner = mean[start:end, start:end]
            corner += np.triu(corner, 1).T
        return mean.T  # itself, in C's order


@dataclass(frozen=True)
class Factor:
    """`upper` (K, K) with upper^T upper = (H + damping * mean(diag H) * I)^-1, H's axes in `order`."""

    upper: np.ndarray
    order: np.ndarray
    damping: float


def inverse_factor(matrix: np.ndarray, *, damping: float, activation_order: bool) -> Factor | None:
    """The upper Cholesky factor of the inverse of a damped Hessian, float32 (K, K).

    Where the factorization fails, damping grows tenfold until it holds; None where nothing helps, since
    the matrix is not finite or is zero. With `activation_order` the axes are sorted by falling diagonal,
    so that what matters most is rounded first.

    H = R R^T with R upper is the Cholesky factorization with its axes reversed; then H^-1 = U^T U with
    U = R^-1, which takes one factorization and one triangular inverse, not two factorizations.
    """
    diagonal = np.diag(matrix)
    mean = float(diagonal.mean(dtype=np.float64)) if diagonal.size else 0.0
    if not np.isfinite(mean) or mean <= 0 or not np.isfinite(matrix).all():
        return None
    order = np.argsort(-diagonal, kind="stable") if activation_order else np.arange(len(diagonal))
    while damping <= _LARGEST:
        upper = _factor(matrix, order, np.float32(damping * mean))
        if upper is not None:
            return Factor(upper, order, damping)
        damping = max(damping * _GROWTH, 1e-4)
    return None


def _factor(matrix: np.ndarray, order: np.ndarray, added: np.float32) -> np.ndarray | None:
    backwards = order[::-1]
    damped = np.asfortranarray(matrix[np.ix_(backwards, backwards)])
    damped[np.diag_indices(len(damped))] += added
    lower, failed = lapack.spotrf(damped, lower=1, clean=1, overwrite_a=1)
    if failed:
        return None
    inverse, failed = lapack.strtri(lower, lower=1, overwrite_c=1)
    usable = not failed and np.isfinite(inverse).all()
    return np.ascontiguousarray(inverse[::-1, ::-1]) if usable else None
