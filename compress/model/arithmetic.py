"""What a processor computes with."""

from __future__ import annotations

import torch


def has_bfloat16() -> bool:
    """Whether there are instructions for products in bfloat16, so that they are not slower than in fp32."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
