"""MXFP4: numbers of 4 bits in blocks of 32, each with a power of two as its scale.

OCP Microscaling Formats (MX) Specification, version 1.0: elements E2M1 (section 5.3.3), scales E8M0
(section 5.4.1), a block's value is the product of both (section 6.3).
"""

from __future__ import annotations

import numpy as np

BLOCK = 32
"""Numbers that share a scale."""

_MAGNITUDES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
"""Of E2M1's codes 0 to 7; bit 3 is the sign."""

_BIAS = 127
_NAN = 255
"""Of E8M0's exponents: their bias, and the one that stands for no number."""


def dequantize(blocks: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """The values of packed codes, which are exact in bfloat16, too.

    Args:
        blocks: uint8 (N, G, 16), two codes a byte, the first in the lower half.
        scales: uint8 (N, G), of each block the exponent.

    Returns:
        float32 (N, 32 G); NaN where the scale is.
    """
    codes = np.stack([blocks & 15, blocks >> 4], axis=-1).reshape(*scales.shape, BLOCK)
    values: np.ndarray = _table()[codes] * _powers()[scales][..., None]
    return values.reshape(len(blocks), -1)


def _table() -> np.ndarray:
    """The values of the 16 codes."""
    magnitudes = np.array(_MAGNITUDES, dtype=np.float32)
    return np.concatenate([magnitudes, -magnitudes])


def _powers() -> np.ndarray:
    """The values of the 256 scales."""
    return np.append(np.exp2(np.arange(_NAN) - float(_BIAS)), np.nan).astype(np.float32)
