"""What is added to the scores of attention, as one ONNX `Attention` node takes it: (1 or B, 1 or N, T, S)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from compress.graph.values import dims, insert_after, insert_before, named_initializer, same_dims

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compress.graph.values import Dim


def attention_bias(graph: ir.Graph, biases: Sequence[ir.Value], *, at: ir.Node) -> ir.Value | None:
    """The sum of the biases of scores (B, N, T, S), which the softmax `at` reads; None where there are none
    or one has another form.
    """
    shape = dims(at.outputs[0])
    if shape is None:
        return None
    ready = [_full_bias(graph, bias, shape) for bias in biases]
    if not ready or any(bias is None for bias in ready):
        return None
    total = ready[0]
    for bias in ready[1:]:
        total = _sum(graph, total, bias, at)
    return total


def _full_bias(graph: ir.Graph, bias: ir.Value, shape: tuple[Dim, ...]) -> ir.Value | None:
    """`bias` with all of its last two axes; an axis of length 1 among the first two is kept as it is."""
    bias = _before_expand(bias, shape)
    have = dims(bias)
    if have is None or len(have) != 4 or not same_dims(have[3], shape[3]):
        return None
    if any(size != 1 and not same_dims(size, full) for size, full in zip(have[:2], shape[:2], strict=True)):
        return None
    if same_dims(have[2], shape[2]):
        return bias
    return _repeat_rows(graph, bias, shape) if have[2] == 1 else None


def _before_expand(bias: ir.Value, shape: tuple[Dim, ...]) -> ir.Value:
    """A bias that was repeated for each item or head is read as it was before."""
    node = bias.producer()
    source = node.inputs[0] if node is not None and node.op_type == "Expand" else None
    have = dims(source)
    if source is None or have is None or len(have) != 4:
        return bias
    return source if all(same_dims(*pair) for pair in zip(have[2:], shape[2:], strict=True)) else bias


def _repeat_rows(graph: ir.Graph, bias: ir.Value, shape: tuple[Dim, ...]) -> ir.Value | None:
    """(.., .., 1, S) as (.., .., T, S). A mask of keys is small, and shared by all layers."""
    name = f"{bias.name}_rows"
    known = next((use.node.outputs[0] for use in bias.uses() if use.node.outputs[0].name == name), None)
    if known is not None or not (isinstance(shape[2], int) or same_dims(shape[2], shape[3])):
        return known
    one = named_initializer(graph, "one", np.array([1], np.int64))
    if isinstance(shape[2], int):
        rows, nodes = named_initializer(graph, f"{name}_count", np.array([shape[2]], np.int64)), []
    else:
        nodes = [ir.node("Shape", [bias], {"start": 3, "end": 4})]
        rows = nodes[0].outputs[0]
    whole = ir.node("Concat", [one, one, rows, one], {"axis": 0})
    expand = ir.node("Expand", [bias, whole.outputs[0]])
    result = expand.outputs[0]
    have = dims(bias) or ()
    result.name, result.dtype, result.shape = name, bias.dtype, ir.Shape((*have[:2], *shape[2:]))
    insert_after(graph, bias, [*nodes, whole, expand])
    return result


def _sum(graph: ir.Graph, first: ir.Value | None, second: ir.Value | None, at: ir.Node) -> ir.Value:
    """First + second, computed once for all layers that add the same two."""
    assert first is not None
    assert second is not None
    name = f"{first.name}_plus_{second.name}"
    known = next((use.node.outputs[0] for use in first.uses() if use.node.outputs[0].name == name), None)
    if known is not None:
        return known
    add = ir.node("Add", [first, second])
    total = add.outputs[0]
    pairs = zip(dims(first) or (), dims(second) or (), strict=True)
    total.name, total.dtype = name, first.dtype
    total.shape = ir.Shape([b if a == 1 else a for a, b in pairs])
    insert_before(graph, at, add)
    return total
