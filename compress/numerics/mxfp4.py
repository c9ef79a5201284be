"""MXFP4: numbers of 4 bits in blocks of 32, each with a power of two as its scale.

OCP Microscaling Formats (MX) Specification, version 1.0: elements E2M1 (section 5.3.3), scales E8M0
(section 5.4.1), a block's value is the product of both (section 6.3).
"""

from __future__ import annotations

import torch

BLOCK = 32
"""Numbers that share a scale."""

_MAGNITUDES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
"""Of E2M1's codes 0 to 7; bit 3 is the sign."""

_BIAS = 127
_NAN = 255
"""Of E8M0's exponents: their bias, and the one that stands for no number."""


def dequantize(blocks: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """The values of packed codes, exact in bfloat16.

    Args:
        blocks: uint8 (N, G, 16), two codes a byte, the first in the lower half.
        scales: uint8 (N, G), of each block the exponent.

    Returns:
        bfloat16 (N, 32 G); NaN where the scale is.
    """
    codes = torch.stack([blocks & 15, blocks >> 4], dim=-1).flatten(-2)  # (N, G, 32)
    values = _table()[codes.int()] * _powers()[scales.int()][..., None]
    return values.to(torch.bfloat16).flatten(-2)


def _table() -> torch.Tensor:
    """The values of the 16 codes."""
    magnitudes = torch.tensor(_MAGNITUDES)
    return torch.cat([magnitudes, -magnitudes])


def _powers() -> torch.Tensor:
    """The values of the 256 scales."""
    powers = torch.exp2(torch.arange(256, dtype=torch.float64) - _BIAS).float()
    powers[_NAN] = torch.nan
    return powers
