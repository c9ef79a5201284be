"""A grid within a grid: 4-bit codes that widen to 8-bit ones, so that a file has half the bytes and the
kernel that multiplies 8-bit codes stays the same.

A weight of row n is `scale[n] * rint((code - 8) * factor[n, group] / 7)`: a scale for each row, as 8-bit
products need it, and within it a whole number for each group of columns. (Two levels as in the progressive
group quantization of Lin et al. 2024, arXiv:2405.04532, section 4.1, with 8 bits for the factor.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from compress.numerics.gptq import gptq
from compress.numerics.groups import fit_groups
from compress.numerics.pack import split_blocks

if TYPE_CHECKING:
    from compress.numerics.hessian import Factor

MIDDLE = 8
"""The 4-bit code of zero."""
PARTS = 7
"""Factors count sevenths of an 8-bit step, so that a group is at most 1/32 of a code off its best scale."""


@dataclass(frozen=True)
class Nested:
    """A matrix (N, K). `codes` uint8 (N, K) of 0 to 15, `factor` int8 (N, groups), `scale` float32 (N, 1);
    `group_size` columns share a factor, the last group may be shorter.
    """

    codes: np.ndarray
    factor: np.ndarray
    scale: np.ndarray
    group_size: int

    def widened(self) -> np.ndarray:
        """The 8-bit codes, int8 (N, K)."""
        factors = np.repeat(self.factor, self.group_size, axis=1)[:, : self.codes.shape[1]]
        steps = (self.codes.astype(np.float32) - MIDDLE) * factors
        return np.asarray(np.rint(steps / PARTS), np.int8)

    def decoded(self) -> np.ndarray:
        """The matrix that is multiplied by, float32 (N, K)."""
        return np.asarray(self.widened() * self.scale)


def nest(matrix: np.ndarray, *, group_size: int, high: int, factor: Factor | None = None) -> Nested:
    """Round float32 (N, K), with 8-bit codes of at most `high` in magnitude (127, or 63 for 7 bits).

    With the `factor` of the inverse Hessian of its inputs, columns make up for each other's errors (GPTQ).
    """
    grid = fit_groups(matrix, bits=4, group_size=group_size, symmetric=True, half_scales=False)
    steps = np.where(split_blocks(matrix, group_size).any(axis=2), grid.scales, 0)  # (N, groups)
    largest = np.abs(steps).max(axis=1, keepdims=True)
    scale = np.where(largest > 0, largest, 1).astype(np.float32) * np.float32(MIDDLE / high)
    factors = np.rint(PARTS * steps / scale)
    factors = np.where(factors == 0, 1, factors)
    whole = replace(grid, scales=np.asarray(factors * scale / PARTS, np.float32))
    codes = whole.encode(matrix) if factor is None else gptq(matrix, factor, whole)
    return Nested(codes, factors.astype(np.int8), scale, group_size)
