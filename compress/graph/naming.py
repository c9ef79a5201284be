"""Names that say where in the model a weight or a node belongs.

torch's exporter folds the transposition of a linear layer's weight into a constant `val_87`; the layer
that reads it is in the node's metadata. Quantizers, reports and people go by names. The metadata itself
(stack traces with the paths of the machine that exported) does not belong into a published file.
"""

from __future__ import annotations

import ast
import re
from itertools import chain, count
from typing import TYPE_CHECKING

import onnx_ir as ir

if TYPE_CHECKING:
    from collections.abc import Container

_SCOPES = "pkg.torch.onnx.name_scopes"
_ANONYMOUS = re.compile(r"[A-Za-z_]+_?\d*")
"""What the exporter calls values: one word and a number, never with a dot."""


def name_by_module(graph: ir.Graph, *, wrapper: str = "module") -> None:
    """Name weights and nodes by their module, in place, and drop the exporter's metadata.

    `wrapper` is the attribute under which the exported module holds the real one; it is left out.
    """
    for name in [name for name in graph.initializers if name.startswith(f"{wrapper}.")]:
        _rename(graph, graph.initializers[name], name.removeprefix(f"{wrapper}."))
    taken: set[str] = set()
    for node in graph:
        module = _module(node).removeprefix(wrapper).removeprefix(".")
        if module:
            _name_weights(graph, node, module)
        # A node whose metadata is gone was named before; its name is kept.
        node.name = _fresh(f"{module}/{node.op_type}" if module else node.name or node.op_type, taken)
        taken.add(node.name)
        node.metadata_props.clear()
        node.doc_string = None


def _module(node: ir.Node) -> str:
    """The path of the module in whose `forward` a node was traced: the last scope but the node's own."""
    written = node.metadata_props.get(_SCOPES)
    scopes = ast.literal_eval(written) if written else []
    path = str(scopes[-2]) if len(scopes) > 1 else ""
    return "" if path.startswith("_empty_nn_module_stack") else path


def _name_weights(graph: ir.Graph, node: ir.Node, module: str) -> None:
    for index, value in enumerate(node.inputs):
        if value is None or not value.is_initializer() or not _ANONYMOUS.fullmatch(value.name or ""):
            continue
        if value.const_value is not None and value.const_value.size > 1 and value.dtype == ir.DataType.FLOAT:
            role = "weight" if index == 1 and node.op_type in {"MatMul", "Gemm", "Conv"} else "constant"
            _rename(graph, value, _fresh(f"{module}.{role}", graph.initializers))


def _rename(graph: ir.Graph, value: ir.Value, name: str) -> None:
    if name in graph.initializers or value.name is None or value.const_value is None:
        return
    del graph.initializers[value.name]
    # A new tensor over the same memory: the old one is a view of the model that was given.
    value.const_value = ir.Tensor(value.const_value.numpy(), dtype=value.dtype, name=name)
    value.name = name
    graph.register_initializer(value)


def _fresh(name: str, taken: Container[str]) -> str:
    candidates = chain([name], (f"{name}_{number}" for number in count(1)))
    return next(candidate for candidate in candidates if candidate not in taken)
