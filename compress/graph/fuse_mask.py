"""Mask arithmetic whose answer is known beforehand, as exporters leave it in front of every attention.

transformers builds a mask by comparing and indexing with the positions 0, 1, 2 ... of every axis. What
is left of that in a graph are comparisons that always hold, look-ups of each element at its own place,
and a zero that is added to the scores. At batch 1 these small nodes take a measurable part of the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from compress.graph.values import Dim, constant, dims, insert_before, named_initializer, same_dims

if TYPE_CHECKING:
    from collections.abc import Callable

_ELEMENTWISE = {"And", "Or", "Not", "Where", "Cast", "Add", "Mul"}
"""Operators that broadcast, so that an operand may lose an axis along which it is constant."""


def simplify_masks(graph: ir.Graph) -> int:
    """Replace what is known about masks, in place; returns how many nodes were answered beforehand."""
    rules: dict[str, Callable[[ir.Graph, ir.Node], bool]] = {
        "GatherND": _gather_at_own_place,
        "And": _and_true,
        "Where": _where_true,
        "Add": _add_zero,
    }
    return sum(rules[node.op_type](graph, node) for node in list(graph) if node.op_type in rules)


@dataclass(frozen=True)
class _Positions:
    """A tensor whose element at index (i0, i1, ...) is the index along `axis`."""

    axis: int


def _positions(value: ir.Value | None) -> _Positions | None:
    node = None if value is None else value.producer()
    if node is None:
        return None
    source = node.inputs[0]
    if node.op_type == "Range":
        start, step = constant(node.inputs[0]), constant(node.inputs[2])
        counts = start is not None and step is not None and start == 0 and step == 1
        return _Positions(0) if counts else None
    inner = _positions(source) if node.op_type in {"Unsqueeze", "Expand"} else None
    if inner is None or source is None:
        return None
    return _unsqueezed(node, inner) if node.op_type == "Unsqueeze" else _expanded(node, source, inner)


def _unsqueezed(node: ir.Node, inner: _Positions) -> _Positions | None:
    axes, rank = constant(node.inputs[1]), dims(node.outputs[0])
    if axes is None or rank is None:
        return None
    added = {int(axis) % len(rank) for axis in axes.ravel()}
    kept = [axis for axis in range(len(rank)) if axis not in added]
    return _Positions(kept[inner.axis])


def _expanded(node: ir.Node, source: ir.Value, inner: _Positions) -> _Positions | None:
    """Positions stay what they are if their own axis is not the one that grows."""
    before, after = dims(source), _target(node)
    if before is None or after is None:
        return None
    axis = inner.axis + len(after) - len(before)
    return _Positions(axis) if same_dims(before[inner.axis], after[axis]) else None


def _target(node: ir.Node) -> tuple[Dim, ...] | None:
    """The shape that an Expand makes; exporters state it as the shape of another value."""
    shape = node.inputs[1]
    maker = None if shape is None else shape.producer()
    if maker is not None and maker.op_type == "Shape" and not maker.attributes.get_int("start", 0):
        return dims(maker.inputs[0]) if "end" not in maker.attributes else None
    return dims(node.outputs[0])


def _gather_at_own_place(graph: ir.Graph, node: ir.Node) -> bool:
    """GatherND(x, (i, j) at every (.., i, .., j, ..)) is x with axes of length 1 put in."""
    data, where = node.inputs[0], _index_axes(node.inputs[1])
    before, after = dims(data), dims(node.outputs[0])
    if where is None or before is None or after is None or len(where) != len(before):
        return False
    if node.attributes.get_int("batch_dims", 0) or sorted(set(where)) != where:
        return False
    lengths_agree = all(same_dims(after[axis], size) for axis, size in zip(where, before, strict=True))
    added = [axis for axis in range(len(after)) if axis not in where]
    if not lengths_agree or any(after[axis] != 1 for axis in added):
        return False
    axes = named_initializer(graph, f"{node.outputs[0].name}_axes", np.array(added, np.int64))
    _replace(graph, node, ir.node("Unsqueeze", [data, axes]))
    return True


def _index_axes(value: ir.Value | None) -> list[int] | None:
    """The axes whose positions the last axis of an index tensor lists, one after the other."""
    node = None if value is None else value.producer()
    if node is None or node.op_type != "Concat":
        return None
    axes = []
    for part in node.inputs:
        column = None if part is None else part.producer()
        if column is None or column.op_type != "Unsqueeze":
            return None
        last = constant(column.inputs[1])
        positions = _positions(column.inputs[0])
        if positions is None or last is None or last.tolist() != [-1]:
            return None
        axes.append(positions.axis)
    return axes


def _always_true(value: ir.Value | None) -> bool:
    known = constant(value)
    if known is not None:
        return known.dtype == np.bool_ and bool(known.all())
    node = None if value is None else value.producer()
    if node is None:
        return False
    if node.op_type == "GreaterOrEqual":
        limit = constant(node.inputs[1])
        return _positions(node.inputs[0]) is not None and limit is not None and bool((limit <= 0).all())
    if node.op_type == "And":
        return all(_always_true(source) for source in node.inputs)
    return node.op_type == "Expand" and _always_true(node.inputs[0])


def _and_true(graph: ir.Graph, node: ir.Node) -> bool:
    first, second = node.inputs
    kept = second if _always_true(first) else first if _always_true(second) else None
    return kept is not None and _stand_in(graph, node, kept)


def _where_true(graph: ir.Graph, node: ir.Node) -> bool:
    chosen = node.inputs[1]
    return chosen is not None and _always_true(node.inputs[0]) and _stand_in(graph, node, chosen)


def _add_zero(graph: ir.Graph, node: ir.Node) -> bool:
    for kept, other in (node.inputs, reversed(node.inputs)):
        zero = constant(other)
        if zero is None or zero.size != 1 or zero.any() or kept is None:
            continue
        before, after = dims(kept), dims(node.outputs[0])
        if before is not None and after is not None and before == after:
            return _stand_in(graph, node, kept)
    return False


def _stand_in(graph: ir.Graph, node: ir.Node, value: ir.Value) -> bool:
    """Let the readers of `node` read `value`, which broadcasts to the same, if they all broadcast."""
    result = node.outputs[0]
    if result.is_graph_output() or not (_equal(value, result) or _is_broadcast(result)):
        return False
    ir.convenience.replace_all_uses_with(result, value)
    if not _equal(value, result):
        _shrink(value)
    return True


def _equal(first: ir.Value, second: ir.Value) -> bool:
    one, other = dims(first), dims(second)
    return (
        one is not None and other is not None and len(one) == len(other) and all(map(same_dims, one, other))
    )


def _is_broadcast(value: ir.Value) -> bool:
    """Whether no reader of `value` would notice that an axis of it is 1 instead of repeated."""
    for node, _ in value.uses():
        if node.op_type == "Expand":
            continue
        if node.op_type not in _ELEMENTWISE or node.domain:
            return False
        result = node.outputs[0]
        if any(
            source is not None and source is not value and _equal(source, result) for source in node.inputs
        ):
            continue
        if result.is_graph_output() or not _is_broadcast(result):
            return False
    return True


def _shrink(value: ir.Value) -> None:
    """Write the smaller shapes that follow from `value`'s where its readers broadcast."""
    for node, _ in value.uses():
        result = node.outputs[0]
        if node.op_type not in _ELEMENTWISE or node.domain:
            continue
        if any(
            source is not None and source is not value and _equal(source, result) for source in node.inputs
        ):
            continue
        shape = _broadcast([dims(source) for source in node.inputs if source is not None])
        if shape != dims(result):
            result.shape = None if shape is None else ir.Shape(shape)
            _shrink(result)


def _broadcast(shapes: list[tuple[Dim, ...] | None]) -> tuple[Dim, ...] | None:
    """The common shape of operands; None where it is not known from their names."""
    known = [shape for shape in shapes if shape is not None]
    rank = max(map(len, known), default=0)
    columns = zip(*[(1,) * (rank - len(shape)) + shape for shape in known], strict=True)
    sizes = [{size for size in column if size != 1} or {1} for column in columns]
    if len(known) != len(shapes) or any(len(size) != 1 or None in size for size in sizes):
        return None
    return tuple(size.pop() for size in sizes)


def _replace(graph: ir.Graph, node: ir.Node, new: ir.Node) -> None:
    old, made = node.outputs[0], new.outputs[0]
    made.shape, made.dtype = old.shape, old.dtype
    insert_before(graph, node, new)
    ir.convenience.replace_all_uses_with(old, made)
