"""Small questions about the values of a graph in onnx_ir's form."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

if TYPE_CHECKING:
    from collections.abc import Iterator

Dim = int | str | None
"""The length of an axis: a number, a name (equal names are equal lengths), or unknown."""

_SMALL = 1 << 16
"""Elements above which a constant is a weight, whose values no rule asks for."""


def dims(value: ir.Value | None) -> tuple[Dim, ...] | None:
    """The shape of a value; None where even the number of axes is unknown."""
    if value is None or value.shape is None:
        return None
    return tuple(size if isinstance(size, int) else _plain(size.value) for size in value.shape)


_ROUND_TRIP = re.compile(r"\(*(\w+)\*(\w+)\)*//\(*(\w+)\)*")
"""What is left of a view to (-1, T) and back: `((batch*sequence)//batch)`, which is `sequence`."""


def _plain(name: str | None) -> str | None:
    found = _ROUND_TRIP.fullmatch(name or "")
    if found is None:
        return name
    first, second, divisor = found.groups()
    return second if divisor == first else first if divisor == second else name


def same_dims(first: Dim, second: Dim) -> bool:
    """Whether two axes are known to be equally long."""
    return first is not None and first == second


def constant(value: ir.Value | None) -> np.ndarray | None:
    """A small constant's elements; None for what depends on the inputs and for weights."""
    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    return None if tensor is None or tensor.size > _SMALL else tensor.numpy()


def scalar(value: ir.Value | None) -> float | None:
    """The number in a constant of one element."""
    known = constant(value)
    return float(known.item()) if known is not None and known.size == 1 else None


def is_weight(value: ir.Value | None) -> bool:
    """Whether a value is a constant tensor, of any size."""
    return value is not None and ir.convenience.get_const_tensor(value) is not None


def only_reader(value: ir.Value) -> ir.Node | None:
    """The node that reads a value, if it is the only one and nothing outside the graph does."""
    uses = value.uses()
    return uses[0].node if len(uses) == 1 and not value.is_graph_output() else None


def made_by(value: ir.Value | None, operator: str) -> ir.Node | None:
    """The node that makes a value, if it is a standard operator of that type."""
    node = None if value is None else value.producer()
    return node if node is not None and node.op_type == operator and not node.domain else None


def put_in_place(old: ir.Node, new: ir.Node) -> ir.Node:
    """Let the readers of `old`'s result read `new`'s, which has the same shape; returns `new`."""
    before, after = old.outputs[0], new.outputs[0]
    after.dtype, after.shape = before.dtype, before.shape
    if before.is_graph_output():
        before.name, after.name = None, before.name
    ir.convenience.replace_all_uses_with(before, after, replace_graph_outputs=True)
    return new


def transposition(value: ir.Value | None) -> tuple[list[int], ir.Value] | None:
    """The permutation and the source, where a value is made by a Transpose."""
    node = None if value is None else value.producer()
    if node is None or node.op_type != "Transpose" or node.inputs[0] is None:
        return None
    return list(node.attributes.get_ints("perm", [])), node.inputs[0]


def named_initializer(graph: ir.Graph, name: str, array: np.ndarray) -> ir.Value:
    """A constant of the graph under `name`, which is new or holds the same already."""
    known = graph.initializers.get(name)
    if known is not None:
        return known
    tensor = ir.tensor(array, name=name)
    value = ir.Value(name=name, shape=tensor.shape, type=ir.TensorType(tensor.dtype), const_value=tensor)
    graph.register_initializer(value)
    return value


def insert_before(graph: ir.Graph, node: ir.Node, *nodes: ir.Node) -> None:
    """Put nodes in front of `node`."""
    graph.insert_before(node, list(nodes))


def live_nodes(graph: ir.Graph, operator: str) -> Iterator[ir.Node]:
    """The nodes of a standard operator, as they are at the start of the walk."""
    yield from [node for node in graph if node.op_type == operator and not node.domain]


@dataclass(frozen=True)
class View:
    """A value as a transposition of another one: axis i of the value is axis `order[i]` of `source`."""

    source: ir.Value
    order: tuple[int, ...]

    def swapped(self) -> View:
        """The view of the value with its last two axes exchanged."""
        *rest, first, second = self.order
        return View(self.source, (*rest, second, first))


def view(value: ir.Value) -> View:
    """`value`, (..) of four axes, through all transpositions that made it."""
    order: tuple[int, ...] = (0, 1, 2, 3)
    while (found := transposition(value)) is not None and len(found[0]) == 4:
        order = tuple(found[0][axis] for axis in order)
        value = found[1]
    return View(value, order)


def merged_heads(graph: ir.Graph, value: ir.Value, at: ir.Node) -> ir.Value:
    """(B, T, N, H) as (B, T, N H): what it was reshaped from, or a new Reshape in front of `at`."""
    batch, length, heads, width = dims(value) or (None,) * 4
    assert isinstance(heads, int)
    assert isinstance(width, int)
    shape = (batch, length, heads * width)
    reshape = made_by(value, "Reshape")
    source = None if reshape is None else reshape.inputs[0]
    if source is not None and dims(source) == shape and None not in shape:
        return source
    return _reshape(graph, value, (0, 0, heads * width), shape, at)


def split_heads(graph: ir.Graph, value: ir.Value, like: ir.Value, at: ir.Node) -> ir.Value:
    """(B, T, N H) as (B, T, N, H), the shape of `like`."""
    shape = dims(like) or ()
    heads, width = (size if isinstance(size, int) else 0 for size in shape[2:])
    return _reshape(graph, value, (0, 0, heads, width), shape, at)


def _reshape(
    graph: ir.Graph, value: ir.Value, target: tuple[int, ...], shape: tuple[Dim, ...], at: ir.Node
) -> ir.Value:
    name = "shape_" + "_".join(map(str, target))
    node = ir.node("Reshape", [value, named_initializer(graph, name, np.array(target, np.int64))])
    node.outputs[0].dtype, node.outputs[0].shape = value.dtype, ir.Shape(shape)
    insert_before(graph, at, node)
    return node.outputs[0]
