"""Rewrite a graph's fp32 values in fp16, but for the nodes that are to stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from compress.graph.edit import Editor, attributes
from compress.graph.types import element_types, signature

if TYPE_CHECKING:
    from collections.abc import Callable

    from onnx import ModelProto, NodeProto

_HALF = "tensor(float16)"
_STICKY = {"Add", "Sub", "Mul", "Div", "Neg", "Clip", "Abs", "Ceil", "Floor", "Where", "Reshape", "Unsqueeze"}
"""Operators that stay in fp32 between nodes that do: the epsilon in a normalization, say."""


def to_half(model: ModelProto, stays: Callable[[NodeProto], bool]) -> ModelProto:
    """Change `model` in place; inputs and outputs of the graph keep their types, and nodes with
    subgraphs stay as they are. A value is cast where a node in one type reads one in the other, and only
    there, so that neighbours in fp32 lose nothing between them.

    (ONNX Runtime's own converter casts to fp16 and back between neighbours that stay in fp32.)
    """
    editor = Editor(model)
    converter = _Converter(editor, stays)
    for node in editor.nodes:
        editor.replace(node, converter.convert(node))
    del model.graph.value_info[:]
    return editor.finish()


class _Converter:
    """Converts nodes in the order of the graph, and knows each value by its name in fp32 and in fp16."""

    def __init__(self, editor: Editor, stays: Callable[[NodeProto], bool]) -> None:
        self._editor = editor
        self._stays = stays
        self._types = element_types(editor.model)
        self._names: dict[tuple[str, bool], str] = {}
        """(value, whether in fp16) -> the name under which it can be read so."""

    def convert(self, node: NodeProto) -> list[NodeProto]:
        """What takes the place of `node`: itself or its form in fp16, between the casts that it needs."""
        halved = self._halved(node)
        found = signature(self._editor.model, node)
        new = onnx.NodeProto()
        new.CopyFrom(node)
        retyped = not self._stays(node) and _retype(new)
        before: list[NodeProto] = []
        after: list[NodeProto] = []
        for index, name in enumerate(node.input):
            if self._is_float(name):
                new.input[index] = self._read(
                    name, found is not None and found.input(index) in halved, before
                )
        for index, name in enumerate(node.output):
            if self._is_float(name):
                half = retyped or (found is not None and found.output(index) in halved)
                new.output[index] = self._make(name, half, after)
        return [*before, new, *after]

    def _halved(self, node: NodeProto) -> set[str]:
        """The variables in the operator's signature that become fp16: none where the node stays."""
        found = signature(self._editor.model, node)
        if found is None or self._stays(node) or self._is_sticky(node) or _has_subgraph(node):
            return set()
        if any(name not in self._types for name in node.input if name):
            return set()  # a value of unknown type may be fp32
        floats = {found.input(index) for index, name in enumerate(node.input) if self._is_float(name)}
        return {variable for variable in floats if found.allows(variable, _HALF)}

    def _is_sticky(self, node: NodeProto) -> bool:
        """Whether a node computes in fp32 between values that are known in fp32 alone."""
        if node.op_type not in _STICKY:
            return False
        computed = [n for n in node.input if self._is_float(n) and not self._editor.is_constant(n)]
        return bool(computed) and all((name, True) not in self._names for name in computed)

    def _is_float(self, name: str) -> bool:
        return bool(self._types.get(name) == TensorProto.FLOAT)

    def _read(self, name: str, half: bool, casts: list[NodeProto]) -> str:
        """The name of a value in the wanted type; a cast is added where it is not known so yet."""
        known = self._names.get((name, half))
        if known is not None:
            return known
        stored = self._editor.stored(name)
        if not half and (stored is not None or (name, True) not in self._names):
            return name
        if half and stored is not None:
            new = self._editor.add(_clipped(stored), f"{name}_fp16")
        else:
            new = self._editor.fresh(f"{name}_{'fp16' if half else 'fp32'}")
            source = self._names.get((name, not half), name)
            casts.append(helper.make_node("Cast", [source], [new], to=_KINDS[half]))
        self._names[name, half] = new
        return new

    def _make(self, name: str, half: bool, casts: list[NodeProto]) -> str:
        """The name under which a node makes a value. Outputs of the graph and what subgraphs read keep
        their name in fp32.
        """
        if not half:
            return name
        new = name
        if self._editor.is_output(name) or self._is_captured(name):
            new = self._editor.fresh(f"{name}_fp16")
            casts.append(helper.make_node("Cast", [new], [name], to=TensorProto.FLOAT))
            self._names[name, False] = name
        self._names[name, True] = new
        return new

    def _is_captured(self, name: str) -> bool:
        return any(name not in list(node.input) for node in self._editor.readers(name))


_KINDS = {True: TensorProto.FLOAT16, False: TensorProto.FLOAT}


def _retype(node: NodeProto) -> bool:
    """Change, in place, a node whose attribute says that it makes fp32; whether it was one."""
    settings = attributes(node)
    for item in node.attribute:
        if node.op_type == "Cast" and item.name == "to" and item.i == TensorProto.FLOAT:
            item.i = TensorProto.FLOAT16
            return True
        if item.name == "value" and item.t.data_type == TensorProto.FLOAT:
            item.t.CopyFrom(numpy_helper.from_array(_clipped(numpy_helper.to_array(item.t))))
            return True
    if node.op_type == "ConstantOfShape" and "value" not in settings:
        node.attribute.append(
            helper.make_attribute("value", helper.make_tensor("", TensorProto.FLOAT16, [1], [0]))
        )
        return True
    return False


def _clipped(array: np.ndarray) -> np.ndarray:
    """fp16, where finite numbers out of its range (masks of -3e38) become its largest."""
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    out_of_range = np.isinf(half)
    if out_of_range.any():
        largest = np.copysign(np.finfo(np.float16).max, half)
        half = np.where(out_of_range & np.isfinite(array), largest, half)
    return np.asarray(half, np.float16)


def _has_subgraph(node: NodeProto) -> bool:
    return any(
        item.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for item in node.attribute
    )
