"""A checkpoint whose matrices are codes on grids: what quantization by blocks leaves, and exporters read.

    quantized.json            the matrices: bits, group size, symmetry, shape, and the file of every tensor
    NAME.safetensors          one file for each finished block of the model
    outer.safetensors         what is around the blocks: the embedding, the last norm, the head
    config.json, tokenizer    as in the checkpoint that it came from

A matrix `model.layers.0.mlp.up_proj.weight` of shape (N, K) is stored as three tensors: `.codes` uint8, two
to a byte along K (the first in the low half) where they have 4 bits or fewer; `.scales` float32 (N, G) and
`.zeros` uint8 (N, G), one for each group of `group_size` columns, of which the last may be shorter. Its
values are `scales * (codes - zeros)`. N are outputs and K inputs, whatever the checkpoint's order was
(`transposed`). Matrices that a checkpoint holds as slices of one tensor are named `TENSOR.0`, `TENSOR.1`.
A head that is tied to the embedding is not stored: config.json says so, as in the checkpoint. Every other
tensor keeps its name, type and bytes.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from compress.core.errors import CompressError
from compress.model.safety import read_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

INDEX = "quantized.json"
OUTER = "outer.safetensors"
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a matrix (N, K) is divided: `group_size` columns share a grid; K where a row is one group."""

    bits: int
    group_size: int
    symmetric: bool
    shape: tuple[int, int]
    transposed: bool = False
    """The checkpoint that it came from holds it as (K, N): GPT-2's `Conv1D`."""

    @property
    def groups(self) -> int:
        """The grids of a row; the last may hold fewer columns."""
        return math.ceil(self.shape[1] / self.group_size)


@dataclass(frozen=True, kw_only=True)
class QuantizedMatrix:
    """A matrix (N, K) on grids: `codes` uint8 (N, K), `scales` float32 (N, G), `zeros` uint8 (N, G)."""

    layout: Layout
    codes: torch.Tensor
    scales: torch.Tensor
    zeros: torch.Tensor

    def dequantized(self) -> torch.Tensor:
        """The values that a runtime computes with, float32 (N, K)."""
        spread = torch.arange(self.layout.shape[1]) // self.layout.group_size  # (K,) group of each column
        steps = self.codes.float() - self.zeros.float()[:, spread]
        return steps * self.scales[:, spread]


def write_block(
    path: Path, matrices: Mapping[str, QuantizedMatrix], tensors: Mapping[str, torch.Tensor]
) -> None:
    """Write one block's matrices (by the names of their weights) and its other tensors as one file."""
    stored = {name: tensor.contiguous() for name, tensor in tensors.items()}
    for name, matrix in matrices.items():
        stored[f"{name}.codes"] = _packed(matrix.codes, matrix.layout.bits).contiguous()
        stored[f"{name}.scales"] = matrix.scales.float().contiguous()
        stored[f"{name}.zeros"] = matrix.zeros.to(torch.uint8).contiguous()
    layouts = {name: asdict(matrix.layout) for name, matrix in matrices.items()}
    save_file(stored, path, metadata={"layouts": json.dumps(layouts, sort_keys=True)})


def write_index(folder: Path) -> None:
    """Write `quantized.json` from the blocks' files: the last thing that is written, so that a folder
    with it is whole.
    """
    matrices: dict[str, Any] = {}
    files: dict[str, str] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as tensors:
            matrices |= json.loads((tensors.metadata() or {}).get("layouts", "{}"))
            files |= dict.fromkeys(tensors.keys(), path.name)
    index = {"format": FORMAT, "matrices": matrices, "files": files}
    (folder / INDEX).write_text(json.dumps(index, indent=1, sort_keys=True), encoding="utf8")


class QuantizedCheckpoint:
    """A folder of this form, read one tensor at a time."""

    def __init__(self, folder: Path) -> None:
        index = read_json(folder / INDEX, code="quantized-invalid")
        if index.get("format") != FORMAT:
            message = f"{folder / INDEX} has format {index.get('format')!r}, expected {FORMAT}"
            raise CompressError("quantized-invalid", message, hint="make it again with this version")
        self.folder = folder
        self.layouts = {name: _layout(value) for name, value in index["matrices"].items()}
        self._files: dict[str, str] = index["files"]

    @property
    def tables(self) -> list[str]:
        """The matrices around the blocks: of the embedding and of the head."""
        return [name for name in self.layouts if self._files[f"{name}.codes"] == OUTER]

    @property
    def others(self) -> list[str]:
        """The names of the tensors that are stored as they were."""
        parts = {f"{name}.{part}" for name in self.layouts for part in ("codes", "scales", "zeros")}
        return sorted(set(self._files) - parts)

    @property
    def left(self) -> list[str]:
        """The weights (N, K) of the blocks that are stored as they were: excluded, small, not linear."""
        inner = [name for name in self.others if self._files[name] != OUTER and name.endswith(".weight")]
        return [name for name in inner if len(self._shape(name)) == 2]

    def matrix(self, name: str) -> QuantizedMatrix:
        """A matrix by the name of its weight.

        Raises:
            KeyError: there is no matrix of that name.
        """
        layout = self.layouts[name]
        codes, scales, zeros = (self.tensor(f"{name}.{part}") for part in ("codes", "scales", "zeros"))
        codes = _unpacked(codes, layout.bits)[:, : layout.shape[1]]
        return QuantizedMatrix(layout=layout, codes=codes, scales=scales, zeros=zeros)

    def tensor(self, name: str) -> torch.Tensor:
        """A tensor as it is stored.

        Raises:
            KeyError: there is none of that name.
        """
        with safe_open(self.folder / self._files[name], framework="pt") as tensors:
            return tensors.get_tensor(name)

    def _shape(self, name: str) -> list[int]:
        with safe_open(self.folder / self._files[name], framework="pt") as tensors:
            return list(tensors.get_slice(name).get_shape())


def _layout(value: dict[str, Any]) -> Layout:
    return Layout(**{**value, "shape": tuple(value["shape"])})


def _packed(codes: torch.Tensor, bits: int) -> torch.Tensor:
    """(N, K) codes as (N, ceil(K / 2)) bytes where two fit into one."""
    if bits > 4:
        return codes
    even = torch.nn.functional.pad(codes, (0, codes.shape[1] % 2))
    return even[:, 0::2] | (even[:, 1::2] << 4)


def _unpacked(data: torch.Tensor, bits: int) -> torch.Tensor:
    if bits > 4:
        return data
    return torch.stack([data & 15, data >> 4], dim=-1).flatten(1)  # (N, K), or one column more
