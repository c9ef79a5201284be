"""GPTQ: round a matrix column by column, and let the columns that are left make up for the error.

Frantar et al. 2022 (arXiv:2210.17323), Algorithm 1, with the order of columns by falling diagonal of the
Hessian. The grids of all groups are fixed before, from the matrix as it was (what the paper's code calls
static groups): so the order of rounding leaves no trace in what is stored, and no runtime needs `g_idx`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from compress.numerics.groups import GroupGrid
    from compress.numerics.hessian import Factor

_BLOCK = 128
"""Columns between two updates of all that are left (the paper's B)."""

_ROWS = 4096


def gptq(matrix: np.ndarray, factor: Factor, grid: GroupGrid) -> np.ndarray:
    """The codes, uint8 (N, K), of a float32 matrix (N, K) on `grid`.

    `factor` is the Cholesky factor U of the inverse Hessian, H^-1 = U^T U (the paper's step 3). Columns
    are rows here, so that each is contiguous; rows are solved some thousand at a time, for the cache.
    """
    parts = [_solved(matrix, factor, grid, slice(at, at + _ROWS)) for at in range(0, len(matrix), _ROWS)]
    return np.concatenate(parts)


def _solved(matrix: np.ndarray, factor: Factor, grid: GroupGrid, rows: slice) -> np.ndarray:
    columns = np.ascontiguousarray(matrix[rows].T[factor.order])  # (K, N), in the order of rounding
    groups = grid.columns(len(columns))[factor.order]
    scales, zeros = (np.ascontiguousarray(part[rows].T, np.float32) for part in (grid.scales, grid.zeros))
    top = np.float32((1 << grid.bits) - 1)
    codes = np.empty(columns.shape, np.uint8)
    for start in range(0, len(columns), _BLOCK):
        end = min(start + _BLOCK, len(columns))
        errors = np.empty((end - start, columns.shape[1]), np.float32)  # E, weighted by 1 / U_jj
        for step, j in enumerate(range(start, end)):
            # What the block's columns before j did not round away; those of earlier blocks are in it.
            column = columns[j] - factor.upper[start:j, j] @ errors[:step]
            scale, zero = scales[groups[j]], zeros[groups[j]]
            code = np.clip(np.rint(column / scale) + zero, 0, top)
            errors[step] = (column - (code - zero) * scale) / factor.upper[j, j]
            codes[j] = code
        columns[end:] -= factor.upper[start:end, end:].T @ errors
    restored = np.empty_like(codes)
    restored[factor.order] = codes
    return np.ascontiguousarray(restored.T)
