"""Weights that a graph holds twice are kept once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from compress.graph.values import live_nodes

if TYPE_CHECKING:
    from collections.abc import Iterator

_SMALLEST = 4096
"""Elements below which a second copy costs nothing."""


def share_transposed(graph: ir.Graph) -> int:
    """Let a MatMul whose matrix is the transpose of an embedding table read that table, in place.

    A model that ties its output layer to its embedding is exported with both. Runtimes transpose the
    table while they load; the file holds it once. Returns how many matrices went.
    """
    tables = {value.name: value for node in live_nodes(graph, "Gather") for value in _matrix(node.inputs[0])}
    changed = 0
    for product in live_nodes(graph, "MatMul"):
        for matrix in _matrix(product.inputs[1]):
            table = next((one for one in tables.values() if _is_transpose(matrix, one)), None)
            if table is not None:
                product.replace_input_with(1, _transpose(graph, table))
                changed += 1
    return changed


def _matrix(value: ir.Value | None) -> Iterator[ir.Value]:
    if value is None or not value.is_initializer() or value.const_value is None:
        return
    if value.const_value.size >= _SMALLEST and len(value.const_value.shape) == 2:
        yield value


def _is_transpose(matrix: ir.Value, table: ir.Value) -> bool:
    first, second = matrix.const_value, table.const_value
    if first is None or second is None or first.dtype != second.dtype:
        return False
    if tuple(first.shape) != tuple(reversed(tuple(second.shape))):
        return False
    return np.array_equal(first.numpy(), second.numpy().T)


def _transpose(graph: ir.Graph, table: ir.Value) -> ir.Value:
    for node, _ in table.uses():
        if node.op_type == "Transpose":
            return node.outputs[0]
    node = ir.node("Transpose", [table], {"perm": [1, 0]})
    result = node.outputs[0]
    result.name, result.dtype = f"{table.name}_transposed", table.dtype
    result.shape = None if table.shape is None else ir.Shape(tuple(reversed(tuple(table.shape))))
    graph.insert_before(graph[0], node)
    return result
