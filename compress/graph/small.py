"""One layer as a graph of its own, with made-up weights: for timing it at other widths."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from compress.graph.edit import MICROSOFT

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto
    from onnx import TensorProto as Tensor

    from compress.core.layers import LayerDtype, LayerShape

_BLOCK = 32
"""Columns that share a scale in 4-bit products."""


def layer_graph(shape: LayerShape, units: int, dtype: LayerDtype) -> ModelProto:
    """`x` (B, T, inside) through the layer with so many units to `y` (B, T, outside).

    Products run in the kernels that the recipe's last step leaves: fp32, 8-bit with the activation quantized
    on the way, or 4-bit weights. A feed-forward layer has one activation, and a product where it is gated;
    attention is computed without a mask or positions, which take little.
    """
    layer = _Layer(dtype)
    if shape.kind == "ffn":
        _feed_forward(layer, shape, units)
    else:
        _attention(layer, shape, units)
    return layer.model(shape.inside, shape.outside)


class _Layer:
    """The nodes and weights of a graph that grows."""

    def __init__(self, dtype: LayerDtype) -> None:
        self._dtype = dtype
        self._random = np.random.default_rng(0)
        self._nodes: list[NodeProto] = []
        self._tensors: list[Tensor] = []

    def add(self, operator: str, *inputs: str, out: str = "", domain: str = "", **settings: object) -> str:
        out = out or f"h{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [out], domain=domain, **settings))
        return out

    def split(self, x: str, sizes: list[int]) -> list[str]:
        outs = [f"{x}_{index}" for index in range(len(sizes))]
        lengths = self.constant(np.array(sizes, np.int64))
        self._nodes.append(helper.make_node("Split", [x, lengths], outs, axis=-1))
        return outs

    def constant(self, array: np.ndarray) -> str:
        name = f"w{len(self._tensors)}"
        self._tensors.append(numpy_helper.from_array(array, name))
        return name

    def product(self, x: str, inside: int, outside: int, out: str = "") -> str:
        """`x` times a matrix (inside, outside)."""
        if self._dtype == "int4":
            return self._four_bits(x, inside, outside, out)
        if self._dtype == "int8":
            codes = self._random.integers(-127, 128, (inside, outside), dtype=np.int8)
            scale = np.full(outside, 1 / (127 * inside**0.5), np.float32)
            weights = (self.constant(codes), self.constant(scale))
            return self.add("DynamicQuantizeMatMul", x, *weights, out=out, domain=MICROSOFT)
        weight = self._random.standard_normal((inside, outside), np.float32) / inside**0.5
        return self.add("MatMul", x, self.constant(weight.astype(np.float32)), out=out)

    def _four_bits(self, x: str, inside: int, outside: int, out: str) -> str:
        blocks = -(-inside // _BLOCK)
        codes = self._random.integers(0, 256, (outside, blocks, _BLOCK // 2), dtype=np.uint8)
        scale = np.full((outside * blocks,), 0.1 / inside**0.5, np.float32)
        settings = {"K": inside, "N": outside, "bits": 4, "block_size": _BLOCK, "accuracy_level": 4}
        weights = (self.constant(codes), self.constant(scale))
        return self.add("MatMulNBits", x, *weights, out=out, domain=MICROSOFT, **settings)

    def model(self, inside: int, outside: int) -> ModelProto:
        def value(name: str, size: int) -> object:
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", "sequence", size])

        graph = helper.make_graph(
            self._nodes, "layer", [value("x", inside)], [value("y", outside)], self._tensors
        )
        opsets = [helper.make_opsetid("", 20), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def _feed_forward(layer: _Layer, shape: LayerShape, units: int) -> None:
    made = [layer.product("x", shape.inside, rows * units) for rows in shape.produced]
    if shape.produced == (2,):
        made = layer.split(made[0], [units, units])
    hidden = layer.add("Gelu", made[0])
    if len(made) > 1:
        hidden = layer.add("Mul", hidden, made[1])
    layer.product(hidden, shape.consumed * units, shape.outside, out="y")


def _attention(layer: _Layer, shape: LayerShape, units: int) -> None:
    """Queries of a unit share its keys and values: they are seen as one longer text of queries."""
    width = shape.head_width
    sizes = [shape.consumed * units, width * units, width * units]
    made = [layer.product("x", shape.inside, rows * units) for rows in shape.produced]
    joined = layer.add("Concat", *made, axis=-1) if 1 < len(made) != len(sizes) else made[0]
    queries, keys, values = made if len(made) == len(sizes) else layer.split(joined, sizes)
    if shape.consumed == width:
        mixed = layer.add("MultiHeadAttention", queries, keys, values, domain=MICROSOFT, num_heads=units)
    else:
        mixed = _grouped(layer, (queries, keys, values), units, width, shape.consumed // width)
    layer.product(mixed, shape.consumed * units, shape.outside, out="y")


def _grouped(layer: _Layer, made: tuple[str, str, str], units: int, width: int, queries: int) -> str:
    """Attention of `queries` heads over each of `units` heads of keys and values."""
    shapes = ([0, -1, units, queries * width], [0, -1, units, width], [0, -1, units, width])
    parted = [
        layer.add("Reshape", one, layer.constant(np.array(shape, np.int64)))
        for one, shape in zip(made, shapes, strict=True)
    ]
    q, k, v = (layer.add("Transpose", one, perm=[0, 2, 1, 3]) for one in parted)  # (B, U, T, ..)
    long = layer.add("Reshape", q, layer.constant(np.array([0, units, -1, width], np.int64)))
    scores = layer.add("MatMul", long, layer.add("Transpose", k, perm=[0, 1, 3, 2]))  # (B, U, qT, T)
    mixed = layer.add("MatMul", layer.add("Softmax", scores, axis=-1), v)  # (B, U, qT, W)
    back = layer.constant(np.array([0, units, -1, queries * width], np.int64))
    heads = layer.add("Transpose", layer.add("Reshape", mixed, back), perm=[0, 2, 1, 3])
    return layer.add("Reshape", heads, layer.constant(np.array([0, 0, units * queries * width], np.int64)))
