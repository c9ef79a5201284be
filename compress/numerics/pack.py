"""The bytes in which runtimes want 4- and 8-bit codes: blocks along the input axis, two codes a byte.

`MatMulNBits` and `GatherBlockQuantized` of ONNX Runtime read the same bytes, so an embedding table and
the output layer that is tied to it can be stored once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from compress.numerics.grid import fit_grid, unsigned, with_half_scales

if TYPE_CHECKING:
    from compress.numerics.grid import Grid


@dataclass(frozen=True)
class Packed:
    """A matrix (N rows, K columns) in 4 or 8 bits, in blocks of `block_size` columns.

    `data` uint8 (N, blocks, block_size * bits / 8), low half of a byte first; the last block is
    padded with codes of zero where K is no multiple of the block. `scale` float32 (N, blocks);
    `zero` uint8 (N, ceil(blocks * bits / 8)), packed as the data is, or None: the middle code, 8 or 128.
    """

    bits: int
    block_size: int
    columns: int
    data: np.ndarray
    scale: np.ndarray
    zero: np.ndarray | None

    @property
    def rows(self) -> np.ndarray:
        """`data` as (N, bytes of K columns): each row without its padding."""
        flat = self.data.reshape(len(self.data), -1)
        return flat[:, : -(-self.columns * self.bits // 8)]

    def unpack(self) -> np.ndarray:
        """The matrix that a runtime computes with, float32 (N, K)."""
        count, blocks = self.scale.shape
        codes = _unpack(self.data, self.bits).astype(np.float32)
        middle = np.full((count, blocks), 1 << (self.bits - 1), np.uint8)
        zero = middle if self.zero is None else _unpack(self.zero, self.bits)[:, :blocks]
        values = (codes - zero[..., None]) * self.scale[..., None]  # (N, blocks, block_size)
        return np.asarray(values.reshape(count, -1)[:, : self.columns])


def round_to_blocks(
    matrix: np.ndarray,
    *,
    bits: int,
    block_size: int,
    symmetric: bool,
    search: bool = True,
    half_scales: bool = False,
    importance: np.ndarray | None = None,
) -> Packed:
    """Round float32 (N, K) to the nearest codes of a grid fitted to each block.

    `half_scales` rounds scales to fp16 first, so that they can be stored so. `importance` (K,) weighs
    the columns' errors in the fit, as in `fit_grid`.
    """
    blocks = split_blocks(matrix, block_size)  # (N, blocks, block_size)
    count = blocks.shape[1]
    values = blocks.reshape(-1, block_size)
    weights = None
    if importance is not None:
        weights = np.tile(split_blocks(importance[None], block_size)[0], (len(matrix), 1))
    grid = fit_grid(values, codes=unsigned(bits), symmetric=symmetric, search=search, importance=weights)
    grid = with_half_scales(grid) if half_scales else grid
    codes = grid.encode(values).reshape(len(matrix), count, block_size)
    return pack_codes(codes, grid, bits=bits, columns=matrix.shape[1], symmetric=symmetric)


def pack_codes(codes: np.ndarray, grid: Grid, *, bits: int, columns: int, symmetric: bool) -> Packed:
    """Store codes uint8 (N, blocks, block_size) that some rounding has chosen on `grid`, one row of
    the grid for each block.
    """
    count, blocks, block_size = codes.shape
    zero = None if symmetric else _pack(grid.zero.reshape(count, blocks).astype(np.uint8), bits)
    scale = grid.scale.reshape(count, blocks)
    return Packed(bits, block_size, columns, _pack(codes, bits), scale, zero)


def split_blocks(matrix: np.ndarray, block_size: int) -> np.ndarray:
    """(N, K) as (N, blocks, block_size), with zeros after the last column."""
    missing = -matrix.shape[1] % block_size
    padded = np.pad(matrix, ((0, 0), (0, missing))) if missing else matrix
    return padded.reshape(len(matrix), -1, block_size)


def _pack(codes: np.ndarray, bits: int) -> np.ndarray:
    """uint8 codes, 8/bits of them to a byte along the last axis, the first in the lowest bits."""
    if bits == 8:
        return codes
    if codes.shape[-1] % 2:  # an odd number of zero points: the spare half is 8, as in ONNX Runtime's
        codes = np.pad(codes, [(0, 0)] * (codes.ndim - 1) + [(0, 1)], constant_values=8)
    packed: np.ndarray = codes[..., 0::2] | (codes[..., 1::2] << 4)
    return packed


def _unpack(data: np.ndarray, bits: int) -> np.ndarray:
    """The inverse of `_pack`, with the padding of an odd last axis still in it."""
    if bits == 8:
        return data
    halves = np.stack([data & 15, data >> 4], axis=-1)  # (..., bytes, 2)
    return halves.reshape(*data.shape[:-1], -1)
