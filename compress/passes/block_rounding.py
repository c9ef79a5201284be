"""Round the matrices of a checkpoint to searched grids, block by block: the work of `quantize.round`."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from compress.core.errors import CompressError
from compress.model.fused import Parts
from compress.model.load import empty_module
from compress.model.quantized import Layout, QuantizedMatrix, write_block, write_index
from compress.model.rounding import is_gate
from compress.model.sidecars import copy_sidecars
from compress.model.tensors import StoredTensors
from compress.numerics.grid import fit_grid, unsigned, with_half_scales

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compress.core.artifact import Artifact, Context
    from compress.passes.quantize.round import Config


def round_checkpoint(artifact: Artifact, config: Config, context: Context) -> None:
    """Write a checkpoint into the step's folder with its matrices rounded, one block at a time.

    Args:
        artifact: The checkpoint.
        config: How matrices are stored, and which.
        context: The step's folder and progress.

    Raises:
        CompressError: the model has no such matrix, or a stored tensor is missing.
    """
    module = empty_module(artifact.folder, artifact.task)
    stored = StoredTensors(artifact.folder)
    sources = Parts(module, stored.files).sources
    matrices = _matrices(module, config)
    if not matrices:
        message = "the model has no linear layer whose weights could be quantized"
        raise CompressError("nothing-to-quantize", message, hint="leave quantize.round out")
    blocks = list(_blocks(module))
    with context.progress.track("round weights", len(blocks)) as advance:
        for number, names in enumerate(blocks):
            rounded: dict[str, QuantizedMatrix] = {}
            others: dict[str, torch.Tensor] = {}
            for name in names:
                for source in sources[name]:
                    tensor = stored.tensor(source)
                    if name in matrices:
                        rounded |= _rounded(source, tensor, config, transposed=matrices[name])
                    else:
                        others[source] = tensor
            write_block(context.folder / f"block-{number:05}.safetensors", rounded, others)
            advance()
    copy_sidecars(artifact.folder, context.folder, text=True)
    write_index(context.folder)


def round_matrix(matrix: np.ndarray, config: Config) -> QuantizedMatrix:
    """Round float32 (N, K) group by group; scales are exact in fp16 where they fit."""
    rows, columns = matrix.shape
    size = min(config.group_size or columns, columns)
    layout = Layout(bits=config.bits, group_size=size, symmetric=config.symmetric, shape=(rows, columns))
    codes = np.empty((rows, columns), np.uint8)
    scales = np.empty((rows, layout.groups), np.float32)
    zeros = np.empty((rows, layout.groups), np.uint8)
    whole = columns // size
    for first, last in ((0, whole), (whole, layout.groups)):  # the full groups, and the short one
        if first == last:
            continue
        part = slice(first * size, min(last * size, columns))
        values = np.ascontiguousarray(matrix[:, part]).reshape(rows * (last - first), -1)
        fitted = fit_grid(
            values, codes=unsigned(config.bits), symmetric=config.symmetric, search=config.search
        )
        grid = with_half_scales(fitted)
        codes[:, part] = grid.encode(values).reshape(rows, -1)
        scales[:, first:last] = grid.scale.reshape(rows, -1)
        zeros[:, first:last] = grid.zero.reshape(rows, -1)
    made = (torch.from_numpy(array) for array in (codes, scales, zeros))
    return QuantizedMatrix(layout=layout, **dict(zip(("codes", "scales", "zeros"), made, strict=True)))


def _rounded(
    name: str, tensor: torch.Tensor, config: Config, *, transposed: bool
) -> dict[str, QuantizedMatrix]:
    """A stored matrix, or the slices of a stack of such, by name."""
    if tensor.ndim == 3:
        slices = {f"{name}.{index}": one for index, one in enumerate(tensor)}
    else:
        slices = {name: tensor.T if transposed else tensor}
    found = {}
    for key, matrix in slices.items():
        rounded = round_matrix(matrix.float().contiguous().numpy(), config)
        found[key] = replace(rounded, layout=replace(rounded.layout, transposed=transposed))
    return found


def _matrices(module: torch.nn.Module, config: Config) -> dict[str, bool]:
    """The weights to quantize by name, and whether they are stored as (in, out)."""
    from transformers.pytorch_utils import Conv1D

    table = getattr(module, "get_input_embeddings", lambda: None)()
    head = getattr(module, "get_output_embeddings", lambda: None)()
    tied = table is not None and head is not None and head.weight is table.weight
    left_out = set() if config.embedding else {id(table), id(head) if tied else 0}
    left_out |= set() if config.head or tied else {id(head)}
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    found: dict[str, bool] = {}
    for part in module.modules():
        is_table = part is table or part is head
        is_matrix = isinstance(part, torch.nn.Linear | Conv1D) and not is_gate(part.weight.shape)
        if (is_table or is_matrix) and id(part) not in left_out:
            found.setdefault(names[id(part.weight)], isinstance(part, Conv1D))
    return found | dict.fromkeys(_experts(module), False)


def _experts(module: torch.nn.Module) -> list[str]:
    """The stacks (experts, out, in) of experts' matrices by name."""
    return [
        f"{path}.{name}"
        for path, part in module.named_modules()
        for name, parameter in part.named_parameters(recurse=False)
        if path.endswith("experts") and parameter.ndim == 3 and not getattr(part, "is_transposed", False)
    ]


def _blocks(module: torch.nn.Module) -> Iterator[list[str]]:
    """Parameter names, those of one layer together, in the order of the module."""
    blocks: dict[str, list[str]] = {}
    for name, _ in module.named_parameters():
        layer = re.match(r".*?\.\d+(?=\.)", name)
        blocks.setdefault(layer.group() if layer else name.rpartition(".")[0], []).append(name)
    yield from blocks.values()
