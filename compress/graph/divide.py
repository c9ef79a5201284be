"""Divide the channels of a value by constants at no cost: where the numbers are made.

A value's last axis is divided by scaling the constants of the nodes that make it. That is exact for
products, scaled normalizations, sums with and products by constants, ReLU, gated products, and the
values of an attention, whose heads are weighted sums of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from compress.graph.edit import MICROSOFT, attributes

if TYPE_CHECKING:
    from onnx import NodeProto

    from compress.graph.edit import Editor

_NORMS = {
    "LayerNormalization": (1, 2),
    "RMSNormalization": (1,),
    "SimplifiedLayerNormalization": (1,),
    "SkipLayerNormalization": (2, 3),
    "SkipSimplifiedLayerNormalization": (2,),
    "EmbedLayerNormalization": (5, 6),
}
"""The inputs of normalizations that hold their scale and bias."""

_HEADS_FIRST = [0, 2, 1, 3]


@dataclass
class Division:
    """The constants that change: for each node and input, the factors and the axis they go along."""

    changes: list[tuple[NodeProto, int, np.ndarray, int]] = field(default_factory=list)

    def apply(self, editor: Editor) -> None:
        """Write the divided constants, each as a new one, since others may share the old."""
        for node, index, factors, axis in self.changes:
            array = editor.array(node.input[index])
            assert array is not None
            shape = [1] * array.ndim
            shape[axis] = -1
            divided = (array / factors.reshape(shape)).astype(array.dtype)
            node.input[index] = editor.add(divided, f"{node.input[index]}_smooth")


def divide(editor: Editor, x: str, factors: np.ndarray, *, readers: int) -> Division | None:
    """How to divide the last axis of `x` by `factors` (K,), without changing any value that something
    else reads; None where that is impossible. `readers` is how many nodes may read `x` itself.
    """
    division = Division()
    return division if _divide(editor, x, factors, readers, division) else None


def _divide(editor: Editor, x: str, factors: np.ndarray, readers: int, division: Division) -> bool:
    maker = editor.maker(x)
    if maker is None or len(editor.readers(x)) != readers or editor.is_output(x) or maker.output[0] != x:
        return False
    if maker.op_type in _NORMS:
        return _constants(editor, maker, _NORMS[maker.op_type], factors, division)
    if maker.op_type in {"Relu", "Identity", "Dropout"}:
        return _divide(editor, maker.input[0], factors, 1, division)
    if maker.op_type in {"Add", "Sum"} and len(maker.input) == 2:
        return _sum(editor, maker, factors, division)
    if maker.op_type in {"Mul", "Div"}:
        return _product(editor, maker, factors, division)
    if maker.op_type in {"MatMul", "Gemm"} and editor.is_constant(maker.input[1]):
        return _linear(editor, maker, factors, division)
    return _attention(editor, maker, factors, division)


def _constants(
    editor: Editor, node: NodeProto, places: tuple[int, ...], factors: np.ndarray, division: Division
) -> bool:
    """Divide vectors (K,) of a node; those that are absent need no change."""
    present = [index for index in places if index < len(node.input) and node.input[index]]
    if not present or any(not _is_vector(editor, node.input[index], len(factors)) for index in present):
        return False
    division.changes += [(node, index, factors, -1) for index in present]
    return True


def _is_vector(editor: Editor, name: str, size: int) -> bool:
    form = editor.form(name)
    return form is not None and bool(form[0]) and form[0][-1] == size == int(np.prod(form[0]))


def _sum(editor: Editor, node: NodeProto, factors: np.ndarray, division: Division) -> bool:
    for index, other in ((0, 1), (1, 0)):
        if _is_vector(editor, node.input[index], len(factors)):
            division.changes.append((node, index, factors, -1))
            return _divide(editor, node.input[other], factors, 1, division)
    return False


def _product(editor: Editor, node: NodeProto, factors: np.ndarray, division: Division) -> bool:
    """A constant factor, or either side of a gate, takes it all."""
    for index, name in enumerate(node.input):
        if _is_vector(editor, name, len(factors)) and not (node.op_type == "Div" and index == 1):
            division.changes.append((node, index, factors, -1))
            return True
    for name in node.input[:1] if node.op_type == "Div" else reversed(node.input):
        if editor.is_constant(name):
            continue
        attempt = Division()
        if _divide(editor, name, factors, 1, attempt):
            division.changes += attempt.changes
            return True
    return False


def _linear(editor: Editor, node: NodeProto, factors: np.ndarray, division: Division) -> bool:
    form = editor.form(node.input[1])
    settings = attributes(node)
    axis = 0 if settings.get("transB", 0) else 1
    if form is None or len(form[0]) != 2 or form[0][axis] != len(factors):
        return False
    division.changes.append((node, 1, factors, axis))
    if len(node.input) > 2 and node.input[2]:
        return _constants(editor, node, (2,), factors, division)
    return True


def _attention(editor: Editor, node: NodeProto, factors: np.ndarray, division: Division) -> bool:
    """The values of an attention node, or of attention that is written out: heads are joined again in
    the order in which they were split, so that channels keep their places.
    """
    if node.op_type == "Attention" and not node.domain:
        return _divide(editor, node.input[2], factors, 1, division)
    if node.op_type == "MultiHeadAttention" and node.domain == MICROSOFT:
        unbiased = len(node.input) < 4 or not node.input[3]
        return unbiased and len(node.input) > 2 and _divide(editor, node.input[2], factors, 1, division)
    values = _written_out(editor, node)
    return values is not None and _divide(editor, values, factors, 1, division)


def _written_out(editor: Editor, node: NodeProto) -> str | None:
    """The values (B, S, N H) in Reshape(Transpose(probabilities @ Transpose(Reshape(values))))."""
    join = _made_by(editor, node, "Transpose") if node.op_type == "Reshape" else None
    product = _made_by(editor, join, "MatMul") if _swaps_heads(join) else None
    if product is None:
        return None
    split = _made_by(editor, product, "Transpose", index=1)
    reshape = _made_by(editor, split, "Reshape") if _swaps_heads(split) else None
    return None if reshape is None else str(reshape.input[0])


def _made_by(editor: Editor, node: NodeProto | None, operator: str, *, index: int = 0) -> NodeProto | None:
    """The maker of an input, if it is an `operator` that nothing else reads."""
    if node is None:
        return None
    maker = editor.maker(node.input[index])
    alone = maker is not None and len(editor.readers(node.input[index])) == 1
    return maker if maker is not None and alone and maker.op_type == operator else None


def _swaps_heads(node: NodeProto | None) -> bool:
    return node is not None and list(attributes(node).get("perm", [])) == _HEADS_FIRST
