"""Rotary positions that a model computes with complex numbers (DeepSeek-V2), by sines and cosines, which ONNX
has.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

_COMPLEX = ("deepseek_v2",)
"""By `model_type`."""


@contextmanager
def real_rotation(module: Any) -> Iterator[None]:
    """Meanwhile rotations of the module are computed with sines and cosines."""
    if module.config.model_type not in _COMPLEX:
        yield
        return
    home: Any = sys.modules[type(module).__module__]
    tables = [part for part in module.modules() if isinstance(part, home.DeepseekV2RotaryEmbedding)]
    given = home.apply_rotary_emb
    home.apply_rotary_emb = _rotated
    for table in tables:
        table.forward = _bound(table)
    try:
        yield
    finally:
        home.apply_rotary_emb = given
        for table in tables:
            del table.forward


def _bound(table: Any) -> Any:
    def cosines(x: torch.Tensor, position_ids: torch.Tensor) -> torch.Tensor:
        """Of each angle the cosine and the sine, (B, T, angles, 2)."""
        del x
        angles = position_ids[..., None].float() * table.inv_freq.float()
        return torch.stack((angles.cos(), angles.sin()), dim=-1) * table.attention_scaling

    return cosines


def _rotated(
    queries: torch.Tensor, keys: torch.Tensor, table: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Queries and keys (B, heads, T, width), whose channels are pairs of real and imaginary parts in turn."""
    cosine, sine = table.unsqueeze(1).unbind(-1)

    def turned(x: torch.Tensor) -> torch.Tensor:
        real, imaginary = x.float().unflatten(-1, (-1, 2)).unbind(-1)
        parts = (real * cosine - imaginary * sine, real * sine + imaginary * cosine)
        return torch.stack(parts, dim=-1).flatten(-2).type_as(x)

    return turned(queries), turned(keys)
