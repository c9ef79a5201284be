"""bfloat16 in a graph, computed in float32: ONNX Runtime's kernels for processors have no arithmetic in it.

Each result is rounded to bfloat16 as before, so that the values stay the same: a product or a sum of two
numbers in float32, rounded afterwards, is what arithmetic in bfloat16 gives. (Falcon computes the slopes of
its linear biases so, whatever the dtype of the model.)
"""

from __future__ import annotations

import onnx_ir as ir

from compress.graph.values import insert_after

_FLOAT, _NARROW = ir.DataType.FLOAT, ir.DataType.BFLOAT16


def widen_bfloat16(graph: ir.Graph) -> int:
    """Let nodes read and make float32 instead, in place; returns of how many values that was."""
    made = [(value, _is_rounded(node)) for node in graph for value in node.outputs if value.dtype == _NARROW]
    constants = [value for value in graph.initializers.values() if value.dtype == _NARROW]
    for value, is_rounded in made:
        rounded = value
        if not is_rounded:
            value.dtype = _FLOAT
            rounded = _cast_after(graph, value, _NARROW)
        _cast_after(graph, rounded, _FLOAT)
    for value in constants:
        _cast_after(graph, value, _FLOAT)
    return len(made) + len(constants)


def _is_rounded(node: ir.Node) -> bool:
    """Whether a node makes bfloat16 of something else, or of nothing."""
    narrow = any(value is not None and value.dtype == _NARROW for value in node.inputs)
    return node.op_type == "Cast" or not narrow


def _cast_after(graph: ir.Graph, value: ir.Value, to: ir.DataType) -> ir.Value:
    """Cast a value where it is made, for all that read it."""
    cast = ir.node("Cast", [value], attributes={"to": to})
    (made,) = cast.outputs
    made.name, made.shape, made.dtype = f"{value.name}_{to.name.lower()}", value.shape, to
    for reader, index in [use for use in value.uses() if use.node is not cast]:
        reader.replace_input_with(index, made)
    insert_after(graph, value, [cast])
    return made
