"""A rounded matrix improved in place: codes one column at a time, scales one group at a time.

Behayin et al. 2023, QuantEase (arXiv:2309.01885): with all other columns held, the best code of column j is
the nearest to its exact minimizer (their equation 7). Between two sweeps over the columns each group's
scale is set to its exact minimizer as well, which is least squares under the Hessian. Neither step can
raise the layer's error.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from compress.numerics.groups import GroupGrid

_BLOCK = 128
_ROWS = 4096


def refine(
    matrix: np.ndarray, hessian: np.ndarray, grid: GroupGrid, codes: np.ndarray, *, sweeps: int
) -> tuple[GroupGrid, np.ndarray]:
    """Better scales and codes for a float32 matrix (N, K) whose error is weighed by `hessian` (K, K).

    `codes` uint8 (N, K) is where it begins. Scales stay exact in fp16 where they were.
    """
    half = bool((grid.scales == grid.scales.astype(np.float16)).all())
    parts = [
        _Rows(matrix[at : at + _ROWS], hessian, _rows(grid, at), codes[at : at + _ROWS], half).swept(sweeps)
        for at in range(0, len(matrix), _ROWS)
    ]
    scales, better = (np.concatenate(part) for part in zip(*parts, strict=True))
    return replace(grid, scales=scales), better


def _rows(grid: GroupGrid, at: int) -> GroupGrid:
    rows = slice(at, at + _ROWS)
    return replace(grid, scales=grid.scales[rows], zeros=grid.zeros[rows])


class _Rows:
    """Some rows of a matrix; all arrays lie as (K, N), so that columns are contiguous."""

    def __init__(
        self, matrix: np.ndarray, hessian: np.ndarray, grid: GroupGrid, codes: np.ndarray, half: bool
    ) -> None:
        self.hessian, self.half = hessian, half
        self.groups = grid.columns(matrix.shape[1])
        self.top = np.float32((1 << grid.bits) - 1)
        self.scales = np.ascontiguousarray(grid.scales.T)  # (G, N)
        self.zeros = np.ascontiguousarray(grid.zeros.T, np.float32)
        self.steps = codes.T.astype(np.float32) - self.zeros[self.groups]  # code - zero
        # H (w - q): half the gradient, with its sign turned.
        self.gradient = hessian @ (matrix.T - self.steps * self.scales[self.groups])

    def swept(self, sweeps: int) -> tuple[np.ndarray, np.ndarray]:
        """Scales (N, G) and codes (N, K) after so many sweeps over both."""
        for _ in range(sweeps):
            self._sweep_scales()
            self._sweep_codes()
        self._sweep_scales()
        codes = self.steps + self.zeros[self.groups]
        return np.ascontiguousarray(self.scales.T), np.ascontiguousarray(codes.T).astype(np.uint8)

    def _sweep_codes(self) -> None:
        for start in range(0, len(self.steps), _BLOCK):
            end = min(start + _BLOCK, len(self.steps))
            moved = np.zeros((end - start, self.steps.shape[1]), np.float32)
            for step, j in enumerate(range(start, end)):
                gradient = self.gradient[j] - self.hessian[j, start:j] @ moved[:step]
                scale, zero = self.scales[self.groups[j]], self.zeros[self.groups[j]]
                wanted = self.steps[j] + gradient / (self.hessian[j, j] * scale)
                best = np.clip(np.rint(wanted), -zero, self.top - zero)
                moved[step] = (best - self.steps[j]) * scale
                self.steps[j] = best
            self._move(slice(start, end), moved)

    def _sweep_scales(self) -> None:
        for group, scale in enumerate(self.scales):
            columns = np.flatnonzero(self.groups == group)
            span = slice(int(columns[0]), int(columns[-1]) + 1)
            steps = self.steps[span]  # (size, N)
            square = np.einsum("kn,kn->n", steps, self.hessian[span, span] @ steps)
            product = np.einsum("kn,kn->n", steps, self.gradient[span])
            change = np.divide(product, square, out=np.zeros_like(scale), where=square > 0)
            new = scale + change
            new = new.astype(np.float16).astype(np.float32) if self.half else new
            change = new - scale
            better = (change * (change * square - 2 * product) < 0) & np.isfinite(new)
            change = np.where(better, change, 0)
            scale += change
            self._move(span, steps * change)

    def _move(self, span: slice, moved: np.ndarray) -> None:
        """Account for what was added to the rounded values of some columns."""
        self.gradient -= self.hessian[:, span] @ moved
