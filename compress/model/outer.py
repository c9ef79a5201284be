"""What is around the blocks, quantized: the embedding, the head, or the one table that is both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from compress.core.seal import resume_point
from compress.model.blocks import source_name
from compress.model.quantized import OUTER, write_block
from compress.model.rounding import facts, round_matrices
from compress.model.statistics import InputStatistics
from compress.model.walk import leave

if TYPE_CHECKING:
    import torch

    from compress.model.flow import BlockFlow
    from compress.model.quantized import QuantizedMatrix
    from compress.model.rounding import Scheme
    from compress.model.statistics import SharedInput


_TIED = 0.1
"""Damping of a table that is embedding and head: the head's errors count by its inputs' Hessian, and the
embedding's alike, which is what is added to the diagonal. On SmolLM2-135M (4 bits, groups of 32, the table
alone quantized) the KL divergence is 0.0194 with 0.1, 0.0189 with 1, and 0.0438 where the table is rounded.
"""


@dataclass(frozen=True)
class _Tables:
    """The module's names of the embedding and of the head (None: there is none, or it is the same)."""

    embedding: str
    head: str | None
    tied: bool


def quantize_outer(flow: BlockFlow, *, embedding: Scheme | None, head: Scheme | None) -> None:
    """Round the embedding and the head (None: as they were) and store all that is in no block.

    A head that is the embedding's own table is stored once, by the embedding's name and scheme.
    """
    if (flow.work / OUTER).exists():
        return
    with flow.walk.outer():
        tables = _tables(flow.walk.module)
        inputs = _head_inputs(flow) if tables.head else None
        schemes = {tables.embedding: embedding} | (
            {tables.head: head} if tables.head and not tables.tied else {}
        )
        matrices, found = {}, {}
        for name, scheme in schemes.items():
            if scheme is not None:
                reads = inputs if tables.tied or name == tables.head else None
                matrices[source_name(flow.walk.stream, name)], found[name] = _rounded(
                    flow, name, reads, scheme, tied=tables.tied
                )
    flow.note("outer", found)  # before what says that the part is finished
    _store(flow, matrices, tables)


def _rounded(
    flow: BlockFlow, name: str, inputs: SharedInput | None, scheme: Scheme, *, tied: bool
) -> tuple[QuantizedMatrix, dict[str, object]]:
    matrix = np.ascontiguousarray(flow.walk.parameter(name).numpy())
    if tied:
        scheme = replace(scheme, damping=max(scheme.damping, _TIED))
    (rounded,) = round_matrices([matrix], inputs, scheme)
    found = facts(rounded, matrix, rounded.values())
    return rounded.stored(symmetric=scheme.symmetric, transposed=False), found


def _tables(module: Any) -> _Tables:
    names: dict[int, list[str]] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    table, head = module.get_input_embeddings(), module.get_output_embeddings()
    embedding = names[id(table.weight)][0]
    if head is None:
        return _Tables(embedding, None, tied=False)
    tied = head.weight is table.weight
    return _Tables(embedding, names[id(head.weight)][-1 if tied else 0], tied=tied)


def _head_inputs(flow: BlockFlow) -> SharedInput:
    head: torch.Tensor = flow.walk.module.get_output_embeddings().weight
    statistics = InputStatistics({"head": head.data}, after=leave)
    with flow.entering(flow.walk.count) as leaving:
        for number in range(len(flow.windows)):
            window, hidden = flow.windows[number : number + 1], leaving.read(number)
            statistics.watch(partial(flow.walk.follow, window, hidden))
    return statistics.inputs[0]


def _store(flow: BlockFlow, matrices: dict[str, QuantizedMatrix], tables: _Tables) -> None:
    stream = flow.walk.stream
    replaced = {stream.targets.get(name, name) for name in matrices}
    if tables.tied and tables.head:
        replaced.add(tables.head)  # some checkpoints hold the table twice
    others = [name for name in flow.walk.outer_names() if stream.targets[name] not in replaced]
    with resume_point(flow.work / OUTER) as part:
        write_block(part, matrices, {name: stream.raw(name) for name in others})
