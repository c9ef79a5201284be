"""Zeros in a matrix (d, n): which ones, and what the rest becomes.

Scores are larger for what should stay:
- magnitude: |w| (Han et al. 2015, arXiv:1506.02626);
- Wanda: |w_ij| ||x_j||, compared within a row (Sun et al. 2023, arXiv:2306.11695, equation 1);
- SparseGPT: w_ij^2 / [H^-1]_jj with the columns to the left of j fixed, and the columns to its right
  corrected for each zero (Frantar & Alistarh 2023, arXiv:2301.00774, algorithm 1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BLOCK = 128
"""Columns for which SparseGPT chooses zeros at once."""


@dataclass(frozen=True)
class Pattern:
    """A share of zeros, `ratio`, or `zeros` in each `group` neighbours of a row (2 of 4)."""

    ratio: float = 0.5
    zeros: int = 0
    group: int = 0

    def keep(self, scores: np.ndarray, *, rows: bool = False) -> np.ndarray:
        """Which entries stay, bool (d, n): the largest scores, compared within each row where `rows`.

        Columns beyond the last whole group stay.
        """
        if self.group:
            return self._keep_in_groups(scores)
        flat = scores if rows else scores.reshape(1, -1)
        kept = np.ones(flat.shape, bool)
        count = round(flat.shape[1] * self.ratio)
        lowest = (
            np.argpartition(flat, count - 1, axis=1)[:, :count] if count else np.empty((len(flat), 0), int)
        )
        np.put_along_axis(kept, lowest, values=False, axis=1)
        return kept.reshape(scores.shape)

    def _keep_in_groups(self, scores: np.ndarray) -> np.ndarray:
        whole = scores.shape[1] // self.group * self.group
        grouped = scores[:, :whole].reshape(len(scores), -1, self.group)
        lowest = np.argsort(grouped, axis=2, kind="stable")[:, :, : self.zeros]
        kept = np.ones(grouped.shape, bool)
        np.put_along_axis(kept, lowest, values=False, axis=2)
        return np.hstack([kept.reshape(len(scores), whole), np.ones_like(scores[:, whole:], bool)])


def magnitude(weight: np.ndarray, pattern: Pattern) -> np.ndarray:
    """The matrix with its smallest entries set to zero."""
    return np.where(pattern.keep(np.abs(weight)), weight, 0)


def wanda(weight: np.ndarray, norms: np.ndarray, pattern: Pattern) -> np.ndarray:
    """The same by what entries contribute; `norms` (n,) are those of the inputs over all rows."""
    return np.where(pattern.keep(np.abs(weight) * norms, rows=True), weight, 0)


def sparsegpt(weight: np.ndarray, upper: np.ndarray, pattern: Pattern) -> np.ndarray:
    """The matrix with zeros and with what remains corrected for them, column by column from the left.

    `upper` (n, n) is the factor U of the inverse of the inputs' Hessian, U^T U = H^-1: its row j holds what
    zeroing column j adds to the columns to its right, and U_jj^2 is [H^-1]_jj with those to its left fixed.
    """
    weight = weight.astype(np.float32, copy=True)
    block = BLOCK // pattern.group * pattern.group if pattern.group else BLOCK
    for start in range(0, weight.shape[1], block):
        own = slice(start, min(start + block, weight.shape[1]))
        weight[:, own], errors = _sparse_block(weight[:, own], upper[own, own], pattern)
        weight[:, own.stop :] -= errors @ upper[own, own.stop :]
    return weight


def _sparse_block(weight: np.ndarray, upper: np.ndarray, pattern: Pattern) -> tuple[np.ndarray, np.ndarray]:
    """One block of columns, and (w - w') / U_jj of each: what the columns behind it are corrected by."""
    weight, errors = weight.copy(), np.zeros_like(weight)
    diagonal = np.diag(upper)
    kept = np.ones(weight.shape, bool)
    for column in range(weight.shape[1]):
        if pattern.group and column % pattern.group == 0:
            ahead = slice(column, column + pattern.group)
            kept[:, ahead] = pattern.keep(np.square(weight[:, ahead] / diagonal[ahead]))
        elif not pattern.group and column == 0:
            kept = pattern.keep(np.square(weight / diagonal))
        zeroed = np.where(kept[:, column], weight[:, column], 0)
        errors[:, column] = (weight[:, column] - zeroed) / diagonal[column]
        weight[:, column] = zeroed
        weight[:, column + 1 :] -= np.outer(errors[:, column], upper[column, column + 1 :])
    return weight, errors
