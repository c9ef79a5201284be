"""What is in a graph or a checkpoint: operators, and bytes by component and dtype."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto

from compress.graph.components import Surroundings, component_by_name, component_of
from compress.graph.edit import attributes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from onnx import GraphProto, ModelProto, NodeProto

FUSED = frozenset({
    "Attention", "BiasGelu", "DynamicQuantizeMatMul", "EmbedLayerNormalization", "FastGelu", "FusedConv",
    "FusedGemm", "FusedMatMul", "GatherBlockQuantized", "Gelu", "GroupQueryAttention", "LayerNormalization",
    "MatMulIntegerToFloat", "MatMulNBits", "MultiHeadAttention", "QAttention", "QLinearConv", "QLinearMatMul",
    "QuickGelu", "RMSNormalization", "RotaryEmbedding", "SimplifiedLayerNormalization",
    "SkipLayerNormalization", "SkipSimplifiedLayerNormalization",
})  # fmt: skip
"""Operators that stand for several plain ones."""

_PARAMETERS = {
    "DequantizeLinear": (1, 2), "DynamicQuantizeMatMul": (2, 3), "GatherBlockQuantized": (2, 3),
    "MatMulInteger": (2, 3), "ConvInteger": (2, 3), "MatMulIntegerToFloat": (2, 3, 4, 5),
    "MatMulNBits": (2, 3, 4), "QAttention": (3, 4, 6, 7), "QLinearConv": (1, 2, 4, 5, 6, 7),
    "QLinearMatMul": (1, 2, 4, 5, 6, 7), "QuantizeLinear": (1, 2),
}  # fmt: skip
"""Inputs that hold scales and zero points, which are bytes but no parameters of the model."""

_PACKED = {"MatMulNBits": 1, "GatherBlockQuantized": 0}
"""The input that holds several codes in a byte, whose width is the attribute `bits`."""

_SAFETENSORS = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "F8_E5M2": "float8e5m2", "F8_E4M3": "float8e4m3",
    "F8_E8M0": "float8e8m0", "I16": "int16", "U16": "uint16", "F16": "float16", "BF16": "bfloat16",
    "I32": "int32", "U32": "uint32", "F32": "float32", "I64": "int64", "U64": "uint64", "F64": "float64",
}  # fmt: skip
_WIDTHS = {"BOOL": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8}


@dataclass(frozen=True, kw_only=True)
class Census:
    """`bytes` by component (`embedding`, `attention`, `ffn`, `head`, `norm`, `conv`, `other`) and
    dtype (NumPy's name, or `int4` where codes are packed); `parameters` counts weights and biases.
    """

    operators: dict[str, int] = field(default_factory=dict)
    bytes: dict[tuple[str, str], int] = field(default_factory=dict)
    parameters: int = 0

    @property
    def fused(self) -> dict[str, int]:
        """The fused operators among `operators`."""
        return {name: number for name, number in self.operators.items() if name in FUSED}

    def components(self) -> dict[str, int]:
        """Bytes by component alone, the largest first."""
        total: Counter[str] = Counter()
        for (component, _), size in self.bytes.items():
            total[component] += size
        return dict(total.most_common())


def census(model: ModelProto) -> Census:
    """Count a graph. Tensors are sized by their shape and dtype, so they need not be in memory."""
    around = Surroundings(model.graph)
    sizes: Counter[tuple[str, str]] = Counter()
    parameters = 0
    for tensor in model.graph.initializer:
        elements = math.prod(tensor.dims)
        bits = _bits(tensor.data_type)
        readers = around.readers.get(tensor.name, [])
        dtype, codes = _stored_as(tensor, readers)
        learned = _is_parameter(tensor, readers)
        component = component_of(tensor.name, around) if learned else None
        component = component or component_by_name(tensor.name) or "other"
        sizes[component, dtype] += math.ceil(elements * bits / 8)
        parameters += elements * codes if learned else 0
    return Census(operators=count_operators(model), bytes=dict(sizes), parameters=parameters)


def checkpoint_census(tensors: Mapping[str, tuple[str, tuple[int, ...]]]) -> Census:
    """Count a checkpoint by its tensors' names, safetensors dtypes (`F32`, `BF16` ...) and shapes."""
    sizes: Counter[tuple[str, str]] = Counter()
    parameters = 0
    for name, (dtype, shape) in tensors.items():
        elements = math.prod(shape)
        width = _WIDTHS.get(dtype) or int("".join(filter(str.isdigit, dtype)))
        component = component_by_name(name) or "other"
        sizes[component, _SAFETENSORS.get(dtype, dtype.lower())] += elements * width // 8
        parameters += elements if dtype.startswith(("F", "BF")) else 0
    return Census(bytes=dict(sizes), parameters=parameters)


def count_operators(model: ModelProto) -> dict[str, int]:
    """Nodes by type, subgraphs and functions included, the most frequent first."""
    nodes = list(_all_nodes(model.graph))
    for function in model.functions:
        nodes += function.node
    return dict(Counter(node.op_type for node in nodes).most_common())


def _all_nodes(graph: GraphProto) -> Iterator[NodeProto]:
    for node in graph.node:
        yield node
        for item in node.attribute:
            for inner in [*([item.g] if item.type == onnx.AttributeProto.GRAPH else []), *item.graphs]:
                yield from _all_nodes(inner)


def _bits(data_type: int) -> int:
    name = TensorProto.DataType.Name(data_type)
    if name in {"INT4", "UINT4", "FLOAT4E2M1"}:
        return 4
    if name in {"INT2", "UINT2"}:
        return 2
    return int(onnx.helper.tensor_dtype_to_np_dtype(data_type).itemsize * 8)


def _stored_as(tensor: TensorProto, readers: list[tuple[NodeProto, int]]) -> tuple[str, int]:
    """A tensor's dtype, and how many codes one element holds."""
    for node, index in readers:
        if _PACKED.get(node.op_type) == index and tensor.data_type == TensorProto.UINT8:
            bits = int(attributes(node).get("bits", 4))
            return f"int{bits}", 8 // bits
    name = TensorProto.DataType.Name(tensor.data_type).lower()
    return {"float": "float32", "double": "float64"}.get(name, name), 1


def _is_parameter(tensor: TensorProto, readers: list[tuple[NodeProto, int]]) -> bool:
    """Whether a tensor was learned: not an index, a shape, a scale or a zero point."""
    if tensor.data_type in {TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL, TensorProto.STRING}:
        return False
    if tensor.name.endswith(("_scale", "_zero", "_zero_point", "_scales")) or not tensor.dims:
        return False
    return not all(index in _PARAMETERS.get(node.op_type, ()) for node, index in readers) or not readers
