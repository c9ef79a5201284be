"""Find the layers that can run on 8-bit codes: products and convolutions with constant weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from compress.graph.edit import attributes
from compress.graph.linear import find_linears, is_excluded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from onnx import NodeProto

    from compress.graph.edit import Editor
    from compress.graph.linear import Linear

_BIAS_INPUT = {"Add": None, "BiasGelu": 1, "FastGelu": 1}
"""Operators that add a vector to a product, and the input that holds it (None: either)."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A MatMul, Gemm or Conv of activation `x` with a constant weight, whose output channels lie along
    `axis`. Names are read from the node, so that they stay right when its inputs are exchanged.
    """

    node: NodeProto
    axis: int

    @property
    def x(self) -> str:
        """The activation."""
        return str(self.node.input[0])

    @property
    def y(self) -> str:
        """The result."""
        return str(self.node.output[0])

    @property
    def weight(self) -> str:
        """The constant: (K, N), (N, K), or (output channels, input channels of a group, ...)."""
        return str(self.node.input[1])

    @property
    def own_bias(self) -> str:
        """The node's third input; empty where it has none."""
        return str(self.node.input[2]) if len(self.node.input) > 2 else ""

    @property
    def is_convolution(self) -> bool:
        """Whether it is a Conv: its channels are the second axis, not the last."""
        return bool(self.node.op_type == "Conv")

    def key(self, editor: Editor) -> tuple[str, bool, int]:
        """What two layers share if they use one weight."""
        return (*editor.root(self.weight), self.axis)

    def rows(self, editor: Editor) -> np.ndarray:
        """The weight as float32 (output channels, everything else)."""
        array = editor.array(self.weight)
        assert array is not None
        return np.ascontiguousarray(np.moveaxis(array, self.axis, 0).reshape(array.shape[self.axis], -1))

    def folded(self, rows: np.ndarray, editor: Editor) -> np.ndarray:
        """`rows` (as `rows` gives them, of any dtype) in the weight's own shape."""
        form = editor.form(self.weight)
        assert form is not None
        shape = list(form[0])
        channels = shape.pop(self.axis)
        return np.moveaxis(rows.reshape(channels, *shape), 0, self.axis)


def find_layers(
    editor: Editor,
    *,
    operators: Iterable[str] = ("MatMul", "Gemm", "Conv"),
    exclude: Sequence[str] = (),
    minimum_elements: int = 0,
) -> list[Layer]:
    """Every layer in the graph's order whose float32 weight has `minimum_elements` numbers or more.

    `exclude` are patterns (`*`, `?`) of node or weight names that are left out.
    """
    wanted = set(operators)
    found = [_of_linear(one) for one in find_linears(editor, operators=wanted, exclude=exclude)]
    if "Conv" in wanted:
        found += _convolutions(editor, exclude)
    place = {node.output[0]: index for index, node in enumerate(editor.nodes)}
    chosen = [one for one in found if one is not None and _elements(editor, one) >= minimum_elements]
    return sorted(chosen, key=lambda layer: place[layer.y])


def _of_linear(linear: Linear) -> Layer | None:
    """None for products with factors or a transposed activation, which no 8-bit kernel takes."""
    plain = linear.factor == linear.bias_factor == 1 and not linear.transpose_x
    if linear.node.domain or not plain:
        return None
    return Layer(node=linear.node, axis=0 if linear.transposed else 1)


def _convolutions(editor: Editor, exclude: Sequence[str]) -> Iterator[Layer]:
    for node in editor.nodes:
        if node.op_type != "Conv" or node.domain:
            continue
        form = editor.form(node.input[1])
        if form is None or form[1] != np.float32 or is_excluded([node.name, node.input[1]], exclude):
            continue
        if len(node.input) < 3 or not node.input[2] or editor.is_constant(node.input[2]):
            yield Layer(node=node, axis=0)


def _elements(editor: Editor, layer: Layer) -> int:
    form = editor.form(layer.weight)
    return math.prod(form[0]) if form else 0


def bias_place(editor: Editor, layer: Layer) -> tuple[NodeProto, int] | None:
    """The node and the input that hold the constant vector which is added to a layer's result; None
    where there is no bias of its own.
    """
    if layer.own_bias:
        return layer.node, 2
    readers = editor.readers(layer.y)
    if len(readers) != 1 or editor.is_output(layer.y) or readers[0].op_type not in _BIAS_INPUT:
        return None
    node = readers[0]
    fixed = _BIAS_INPUT[node.op_type]
    places = [fixed] if fixed is not None else [i for i, name in enumerate(node.input) if name != layer.y]
    if len(places) != 1 or places[0] >= len(node.input):
        return None
    form = editor.form(node.input[places[0]])
    return (node, places[0]) if form is not None and len(form[0]) == 1 else None


def group_count(layer: Layer) -> int:
    """Groups of a convolution; 1 for products."""
    return int(attributes(layer.node).get("group", 1))
