"""Matrices whose rows are cut into groups of columns, each with a grid of its own.

`scales` and `zeros` are (N, G) for a matrix (N, K): G = ceil(K / group_size), and the last group is short
where K is no multiple.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compress.numerics.grid import Grid, fit_grid, unsigned, with_half_scales
from compress.numerics.pack import split_blocks

_PART = 1 << 22
"""Numbers that are fitted at once: tables of 150,000 rows are larger than what may be held twice."""


@dataclass(frozen=True, kw_only=True)
class GroupGrid:
    """The grids of a matrix: codes are `0 .. 2^bits - 1`, values `scales * (codes - zeros)`."""

    bits: int
    group_size: int
    scales: np.ndarray
    """float32 (N, G)"""
    zeros: np.ndarray
    """uint8 (N, G)"""

    def columns(self, count: int) -> np.ndarray:
        """The group of each of `count` columns."""
        group: np.ndarray = np.arange(count) // self.group_size
        return group

    def encode(self, matrix: np.ndarray) -> np.ndarray:
        """The nearest codes, uint8 (N, K)."""
        group = self.columns(matrix.shape[1])
        steps = np.rint(matrix / self.scales[:, group]) + self.zeros[:, group]
        return np.asarray(np.clip(steps, 0, (1 << self.bits) - 1), np.uint8)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """The values of codes (N, K), float32."""
        values: np.ndarray = codes.astype(np.float32)
        for group in range(self.scales.shape[1]):  # in place: no scale or zero is spread over its columns
            part = values[:, group * self.group_size : (group + 1) * self.group_size]
            part -= self.zeros[:, group, None]
            part *= self.scales[:, group, None]
        return values


def fit_groups(
    matrix: np.ndarray,
    *,
    bits: int,
    group_size: int,
    symmetric: bool,
    importance: np.ndarray | None = None,
    half_scales: bool = True,
) -> GroupGrid:
    """The grids with the least error of each group of a float32 matrix (N, K), searched as `fit_grid` does.

    `importance` (K,) weighs the columns. With `half_scales` the scales are exact in fp16 where its range
    allows that, so that whoever stores them in two bytes computes with what was rounded for.
    """
    rows = max(1, _PART // matrix.shape[1])
    parts = [
        _fit(matrix[start : start + rows], bits, group_size, symmetric, importance)
        for start in range(0, len(matrix), rows)
    ]
    grid = Grid(unsigned(bits), *(np.concatenate(part) for part in zip(*parts, strict=True)))
    grid = with_half_scales(grid) if half_scales else grid
    shape = (len(matrix), -(-matrix.shape[1] // group_size))
    zeros = grid.zero.reshape(shape).astype(np.uint8)
    return GroupGrid(bits=bits, group_size=group_size, scales=grid.scale.reshape(shape), zeros=zeros)


def _fit(
    matrix: np.ndarray, bits: int, group_size: int, symmetric: bool, importance: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    values = split_blocks(matrix, group_size).reshape(-1, group_size)
    weights = None
    if importance is not None:  # padding weighs nothing
        blocks = split_blocks(importance[None].astype(np.float32), group_size)[0]
        weights = np.tile(blocks, (len(matrix), 1))
    grid = fit_grid(values, codes=unsigned(bits), symmetric=symmetric, importance=weights)
    return grid.scale, grid.zero
