"""Groups of any size as the blocks of a power of two that runtimes multiply."""

from __future__ import annotations

import math

import numpy as np

from compress.numerics.grid import Grid, unsigned
from compress.numerics.pack import Packed, pack_codes

SMALLEST, LARGEST = 16, 256
"""Blocks that ONNX Runtime's MatMulNBits multiplies by its fast kernels."""


def block_size(columns: int, group_size: int) -> int:
    """The largest block of which a group of `group_size` columns holds a whole number; 0: there is none.

    Where a row of `columns` is one group, any block will do: the largest that leaves no padding, else 32.
    """
    if group_size >= columns:
        return _divisor(columns) or 32
    return _divisor(group_size)


def common_block_size(*sizes: int) -> int:
    """The largest block that divides all of the sizes (columns of matrices and of their groups) without
    padding; 0: there is none.
    """
    return _divisor(math.gcd(*sizes))


def to_blocks(
    codes: np.ndarray,
    scales: np.ndarray,
    zeros: np.ndarray,
    *,
    bits: int,
    group_size: int,
    size: int | None = None,
    centred: bool = True,
) -> Packed:
    """Pack codes uint8 (N, K) with `scales` and `zeros` (N, G) of their groups in 4 bits, or in 8 where
    `bits` is more; in blocks of `size` columns, of which each lies in one group. Zero points that are all
    the middle code are left out, unless `centred` is false.

    Raises:
        ValueError: the groups are no multiple of 16 columns.
    """
    rows, columns = codes.shape
    size = block_size(columns, group_size) if size is None else size
    if not size:
        raise ValueError(f"groups of {group_size} columns are no multiple of {SMALLEST}")
    width = 4 if bits <= 4 else 8
    count = -(-columns // size)
    group = np.arange(count) * size // max(group_size, 1)  # (blocks,) the group of each
    group = np.minimum(group, scales.shape[1] - 1)
    scale, zero = scales[:, group], zeros[:, group]
    padded = np.repeat(zero[:, -1:], count * size, axis=1)  # what lies after the last column is 0
    padded[:, :columns] = codes
    grid = Grid(unsigned(width), scale.reshape(-1, 1), zero.reshape(-1, 1).astype(np.int32))
    middle = centred and bool((zero == 1 << (width - 1)).all())
    return pack_codes(padded.reshape(rows, count, size), grid, bits=width, columns=columns, symmetric=middle)


def _divisor(number: int) -> int:
    """The largest power of two, 16 to 256, that divides a number; 0 where none does."""
    largest = min(number & -number, LARGEST)
    return largest if largest >= SMALLEST else 0
