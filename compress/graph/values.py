"""Small questions about the values of a graph in onnx_ir's form."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import onnx_ir as ir

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np

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


def insert_after(graph: ir.Graph, value: ir.Value, nodes: Sequence[ir.Node]) -> None:
    """Insert nodes behind the one that makes a value; at the graph's start for its inputs and constants."""
    maker = value.producer()
    if maker is None:
        graph.insert_before(graph[0], nodes)
    else:
        graph.insert_after(maker, nodes)


def live_nodes(graph: ir.Graph, operator: str) -> Iterator[ir.Node]:
    """The nodes of a standard operator, as they are at the start of the walk."""
    yield from [node for node in graph if node.op_type == operator and not node.domain]
