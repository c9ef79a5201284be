"""Change a graph: look up who makes and who reads a value, replace nodes, and leave nothing unused."""

from __future__ import annotations

from itertools import chain, count
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from compress.core.errors import CompressError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from onnx import GraphProto, ModelProto, NodeProto, TensorProto

MICROSOFT = "com.microsoft"
"""The domain of ONNX Runtime's own operators."""

_FOLDED = frozenset({
    "Add", "Cast", "Concat", "Constant", "Div", "Identity", "Mul", "Neg", "Pow", "Reciprocal", "ReduceL2",
    "ReduceSum", "Reshape", "Slice", "Sqrt", "Squeeze", "Sub", "Transpose", "Unsqueeze",
})  # fmt: skip
"""Operators through which a constant is followed: exporters leave them between a weight and its use
(a transposition, a cast, the normalization of a parametrized weight)."""


class Editor:
    """Edits to one model, which it owns: `finish` applies them in place.

    Nodes of subgraphs (the bodies of If and Loop) are left alone, and what they read is kept. `elsewhere` are
    the values of initializers whose places in the model are empty.
    """

    def __init__(self, model: ModelProto, elsewhere: Mapping[str, np.ndarray] | None = None) -> None:
        self.model = model
        self._elsewhere = elsewhere or {}
        self.graph: GraphProto = model.graph
        self.nodes: list[NodeProto] = list(self.graph.node)
        self._tensors: dict[str, TensorProto] = {tensor.name: tensor for tensor in self.graph.initializer}
        self._makers = {name: node for node in self.nodes for name in node.output if name}
        self._readers: dict[str, list[NodeProto]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(_read_by(node)):
                self._readers.setdefault(name, []).append(node)
        self._outputs = {value.name for value in self.graph.output}
        self._names = set(_names_in(self.graph))
        self._constants = {*self._tensors}
        for node in self.nodes:  # in an order in which inputs come first
            if (
                not node.domain
                and node.op_type in _FOLDED
                and self._constants.issuperset(filter(None, node.input))
            ):
                self._constants.update(node.output)
        self._replaced: dict[str, list[NodeProto]] = {}
        self._first: list[NodeProto] = []

    def maker(self, name: str) -> NodeProto | None:
        """The node that computes a value; None for inputs and initializers."""
        return self._makers.get(name)

    def readers(self, name: str) -> list[NodeProto]:
        """The nodes of the main graph that read a value, themselves or in a subgraph of theirs."""
        return self._readers.get(name, [])

    def is_output(self, name: str) -> bool:
        """Whether a value is an output of the graph."""
        return name in self._outputs

    def is_constant(self, name: str) -> bool:
        """Whether a value is known without running the graph (see `array`)."""
        return name in self._constants

    def array(self, name: str) -> np.ndarray | None:
        """The value of an initializer, of a Constant, or of what is computed from these by moving,
        casting and plain arithmetic; None for everything else.
        """
        if name in self._tensors or not self.is_constant(name):
            return self.stored(name)
        node = self._makers[name]
        feeds = {source: self.array(source) for source in node.input if source}
        result = ReferenceEvaluator(_standalone(node, self.model)).run(None, feeds)
        return np.asarray(result[list(node.output).index(name)])

    def stored(self, name: str) -> np.ndarray | None:
        """The value of an initializer; None for every other value."""
        if name in self._elsewhere:
            return self._elsewhere[name]
        tensor = self._tensors.get(name)
        return None if tensor is None else np.asarray(numpy_helper.to_array(tensor))

    def form(self, name: str) -> tuple[tuple[int, ...], np.dtype[Any]] | None:
        """Shape and dtype of a constant, without reading a stored one; None for what is not constant."""
        tensor = self._tensors.get(name)
        if tensor is not None:
            return tuple(tensor.dims), helper.tensor_dtype_to_np_dtype(tensor.data_type)
        array = self.array(name)
        return None if array is None else (array.shape, array.dtype)

    def root(self, name: str) -> tuple[str, bool]:
        """The initializer behind a value, and whether the value is its transpose. A value that is
        made in another way is its own root.
        """
        transposed = False
        start = name
        while (node := self._makers.get(name)) is not None:
            if node.op_type == "Transpose" and attributes(node).get("perm", [1, 0]) == [1, 0]:
                transposed = not transposed
            elif node.op_type != "Identity":
                return start, False
            name = node.input[0]
        return (name, transposed) if name in self._tensors else (start, False)

    def fresh(self, hint: str) -> str:
        """A name that no value has."""
        candidates = chain([hint], (f"{hint}_{number}" for number in count(1)))
        name = next(name for name in candidates if name not in self._names)
        self._names.add(name)
        return name

    def add(self, array: np.ndarray, hint: str) -> str:
        """Add an initializer; returns its name."""
        tensor = self.graph.initializer.add()
        tensor.CopyFrom(numpy_helper.from_array(np.asarray(array, order="C"), self.fresh(hint)))
        self._tensors[tensor.name] = tensor
        self._constants.add(tensor.name)
        return str(tensor.name)

    def replace(self, node: NodeProto, nodes: Sequence[NodeProto]) -> None:
        """Put `nodes` in the place of `node`; they must make each of its outputs that is read."""
        self._replaced[_key(node)] = list(nodes)

    def derive(self, operator: str, sources: Sequence[str], hint: str, **settings: Any) -> str:
        """Add a node at the graph's start that computes one constant from others, which runtimes do
        once, while they load; returns the name of its result.
        """
        name = self.fresh(hint)
        self._first.append(helper.make_node(operator, sources, [name], **settings))
        return name

    def require(self, version: int) -> None:
        """Check that the graph was exported for the standard operator set `version` or a newer one.

        Raises:
            CompressError: it was exported for an older one.
        """
        known = max((entry.version for entry in self.model.opset_import if not entry.domain), default=1)
        if known < version:
            message = f"the graph uses operator set {known}, this step needs {version} or newer"
            raise CompressError("opset-too-old", message, hint="export the model again")

    def finish(self) -> ModelProto:
        """Apply the edits: the model without the nodes and tensors that nothing reads any more."""
        replaced = (self._replaced.get(_key(node), [node]) for node in self.nodes)
        nodes = [*self._first, *chain.from_iterable(replaced)]
        kept, read = _live(nodes, self._outputs)
        del self.graph.node[:]
        self.graph.node.extend(kept)
        domains = {entry.domain for entry in self.model.opset_import}
        if MICROSOFT not in domains and any(node.domain == MICROSOFT for node in kept):
            self.model.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
        gone = {name for name in self._tensors if name not in read}
        made = {name for node in kept for name in node.output}
        _keep(self.graph.initializer, lambda tensor: tensor.name not in gone)
        _keep(self.graph.input, lambda value: value.name not in gone)  # old exports list weights there
        _keep(self.graph.value_info, lambda value: value.name in made)
        return self.model


def attributes(node: NodeProto) -> dict[str, Any]:
    """A node's attributes as Python values; strings are bytes."""
    return {item.name: helper.get_attribute_value(item) for item in node.attribute}


def _read_by(node: NodeProto) -> Iterator[str]:
    """The values that a node reads, those that its subgraphs take from outside among them."""
    yield from (name for name in node.input if name)
    for graph in _subgraphs(node):
        for inner in graph.node:
            yield from _read_by(inner)
        yield from (value.name for value in graph.output)


def _key(node: NodeProto) -> str:
    """What tells a node from all others: the first value that it makes."""
    return next(str(name) for name in node.output if name)


def _standalone(node: NodeProto, model: ModelProto) -> ModelProto:
    """A model of one node, for the reference evaluator."""
    inputs = [helper.make_value_info(name, onnx.TypeProto()) for name in node.input if name]
    outputs = [helper.make_value_info(name, onnx.TypeProto()) for name in node.output if name]
    graph = helper.make_graph([node], "constant", inputs, outputs)
    return helper.make_model(graph, opset_imports=list(model.opset_import), ir_version=model.ir_version)


def _live(nodes: Sequence[NodeProto], outputs: set[str]) -> tuple[list[NodeProto], set[str]]:
    """The nodes that the outputs depend on, and every value that is read."""
    read = set(outputs)
    kept = []
    for node in reversed(nodes):
        if any(name in read for name in node.output):
            kept.append(node)
            read.update(_read_by(node))
    return kept[::-1], read


def _keep(items: Any, wanted: Callable[[Any], bool]) -> None:
    """Delete from a protobuf list, in place, what is not wanted; extending a new one would copy weights."""
    for index in reversed(range(len(items))):
        if not wanted(items[index]):
            del items[index]


def _names_in(graph: GraphProto) -> Iterator[str]:
    """Every name that is taken, in the graph and in its subgraphs."""
    yield from (value.name for value in [*graph.input, *graph.initializer])
    for node in graph.node:
        yield from node.output
        for inner in _subgraphs(node):
            yield from _names_in(inner)


def _subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    for item in node.attribute:
        if item.type == onnx.AttributeProto.GRAPH:
            yield item.g
        yield from item.graphs
