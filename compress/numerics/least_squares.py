"""The matrix that answers most like another one does from fewer of its inputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Moments:
    """Sums over N rows x (n,) of a layer's input: `gram` = sum x x^T float64 (n, n), `total` = sum x (n,)."""

    gram: np.ndarray
    total: np.ndarray
    rows: int

    def centred(self) -> np.ndarray:
        """The sum of (x - mean)(x - mean)^T: what is left for a layer whose bias takes the mean."""
        return np.asarray(self.gram - np.outer(self.total, self.total) / max(self.rows, 1))

    def about(self, *, bias: bool) -> np.ndarray:
        """`centred` for a layer with a bias, `gram` for one without."""
        return self.centred() if bias else self.gram


def damped(gram: np.ndarray, share: float) -> np.ndarray:
    """A Gram matrix with `share` of its mean diagonal added to the diagonal, so that it can be inverted."""
    extra = share * float(np.mean(np.diag(gram))) or 1e-12
    return np.asarray(gram + extra * np.eye(len(gram)))


def refit(
    weight: np.ndarray, bias: np.ndarray | None, moments: Moments, kept: np.ndarray, *, damping: float
) -> tuple[np.ndarray, np.ndarray | None]:
    """The matrix (d, len(kept)) and bias that minimise sum ||W x + b - W' x_kept - b'||^2.

    Solves W' (H_kk + l I) = W H_:k + l W_:k with H from `moments.about`: the more `damping` (l as a share of
    H's mean diagonal), the nearer W' stays to the columns that were kept. `bias` is None where there is none.
    """
    gram = moments.about(bias=bias is not None)
    extra = damping * float(np.mean(np.diag(gram))) or 1e-12
    left = gram[np.ix_(kept, kept)] + extra * np.eye(len(kept))
    right = weight @ gram[:, kept] + extra * weight[:, kept]  # (d, k)
    fitted = np.linalg.solve(left, right.T).T
    if bias is None:
        return fitted, None
    mean = moments.total / max(moments.rows, 1)
    return fitted, bias + weight @ mean - fitted @ mean[kept]
