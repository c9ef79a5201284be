"""A quantized checkpoint as the module that computes with its rounded weights: the reference of exporters."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch

from compress.model.load import load_state
from compress.model.quantized import QuantizedCheckpoint

if TYPE_CHECKING:
    from pathlib import Path

    from compress.model.quantized import QuantizedMatrix


def load_dequantized(folder: Path, task: str) -> torch.nn.Module:
    """The module of a folder of kind `quantized`, fp32, in evaluation mode.

    Raises:
        CompressError: the folder is damaged, or lacks weights.
    """
    return load_state(folder, task, dequantized_state(QuantizedCheckpoint(folder)))


def dequantized_state(checkpoint: QuantizedCheckpoint) -> dict[str, torch.Tensor]:
    """All tensors by the checkpoint's names, matrices with their rounded values in fp32."""
    state = {name: checkpoint.tensor(name) for name in checkpoint.others}
    slices: dict[str, dict[int, torch.Tensor]] = {}
    for name in checkpoint.layouts:
        values = original_orientation(checkpoint.matrix(name))
        if part := re.fullmatch(r"(.+)\.(\d+)", name):
            slices.setdefault(part[1], {})[int(part[2])] = values
        else:
            state[name] = values
    return state | {name: torch.stack([ones[i] for i in sorted(ones)]) for name, ones in slices.items()}


def original_orientation(matrix: QuantizedMatrix) -> torch.Tensor:
    """The values of a matrix, fp32, as the checkpoint that it came from holds it."""
    values = matrix.dequantized()
    return values.T.contiguous() if matrix.layout.transposed else values
