"""Element types of values, from the operators' declared signatures.

Why not ONNX's own inference: it knows nothing of ONNX Runtime's operators, and wants the weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from onnx import TensorProto, defs
from onnxruntime.capi import _pybind_state as runtime

from compress.graph.edit import MICROSOFT, attributes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from onnx import ModelProto, NodeProto

_NUMBERS: dict[str, int] = {
    f"tensor({name.lower()})": int(value) for name, value in TensorProto.DataType.items()
}


@dataclass(frozen=True)
class Signature:
    """Of an operator: the type of each input and output, as `tensor(int64)` or as a variable like `T`,
    and the types that each variable may stand for. The last input or output may be repeated.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    allowed: Mapping[str, frozenset[str]]

    def input(self, index: int) -> str:
        """The type of input `index`."""
        return self.inputs[min(index, len(self.inputs) - 1)]

    def output(self, index: int) -> str:
        """The type of output `index`."""
        return self.outputs[min(index, len(self.outputs) - 1)]

    def settled(self) -> dict[str, int]:
        """The variables that stand for one type only."""
        return {
            name: _NUMBERS[kind] for name, kinds in self.allowed.items() if len(kinds) == 1 for kind in kinds
        }

    def allows(self, variable: str, kind: str) -> bool:
        """Whether `variable` may stand for `kind`, which is written like `tensor(float16)`."""
        return kind in self.allowed.get(variable, ())


def signature(model: ModelProto, node: NodeProto) -> Signature | None:
    """The signature of a node's operator; None where nobody declares it."""
    if node.domain == MICROSOFT:
        return _of_runtime().get(node.op_type)
    versions = {entry.domain: entry.version for entry in model.opset_import}
    return _of_onnx(node.op_type, versions.get(node.domain, 1), node.domain)


def element_types(model: ModelProto) -> dict[str, int]:
    """ONNX's number of the element type of the main graph's values, as far as they can be known."""
    graph = model.graph
    types = {
        value.name: int(value.type.tensor_type.elem_type)
        for value in [*graph.value_info, *graph.input, *graph.output]
        if value.type.tensor_type.elem_type
    }
    types.update({tensor.name: int(tensor.data_type) for tensor in graph.initializer})
    for node in graph.node:
        for name, kind in _results(model, node, types).items():
            types.setdefault(name, kind)
    return types


def _results(model: ModelProto, node: NodeProto, types: Mapping[str, int]) -> dict[str, int]:
    """The types of a node's outputs, given those of its inputs."""
    body = next((item.g for item in node.attribute if item.type == item.GRAPH), None)
    if body is not None:
        declared = body.output[1:] if node.op_type == "Loop" else body.output  # the first is its condition
        pairs = zip(node.output, declared, strict=False)
        return {name: int(value.type.tensor_type.elem_type) for name, value in pairs if name}
    found = signature(model, node)
    if found is None or not found.outputs:
        return {}
    variables = _NUMBERS | found.settled()
    for index, name in enumerate(node.input):
        if name in types:
            variables[found.input(index)] = types[name]
    results = {}
    for index, name in enumerate(node.output):
        kind = variables.get(found.output(index), _by_attribute(node))
        if name and kind is not None:
            results[name] = kind
    return results


def _by_attribute(node: NodeProto) -> int | None:
    """The type of a result that no input decides."""
    settings: dict[str, Any] = attributes(node)
    for name in ("to", "dtype", "output_dtype"):
        if settings.get(name):
            return int(settings[name])
    if isinstance(settings.get("value"), TensorProto):
        return int(settings["value"].data_type)
    floats = {"value_float", "value_floats"} & set(settings)
    return int(TensorProto.FLOAT) if floats or node.op_type == "ConstantOfShape" else None


@cache
def _of_onnx(operator: str, version: int, domain: str) -> Signature | None:
    if not defs.has(operator, domain):
        return None
    schema = defs.get_schema(operator, version, domain)
    return Signature(
        tuple(item.type_str for item in schema.inputs),
        tuple(item.type_str for item in schema.outputs),
        {item.type_param_str: frozenset(item.allowed_type_strs) for item in schema.type_constraints},
    )


@cache
def _of_runtime() -> dict[str, Signature]:
    """ONNX Runtime's own operators by name."""
    return {
        schema.name: Signature(
            tuple(item.typeStr for item in schema.inputs),
            tuple(item.typeStr for item in schema.outputs),
            {item.type_param_str: frozenset(item.allowed_type_strs) for item in schema.type_constraints},
        )
        for schema in runtime.get_all_operator_schema()
        if schema.domain == MICROSOFT
    }
