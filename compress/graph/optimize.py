"""Make an exported graph fast without changing what it computes.

Every rule here was kept because it measured faster in ONNX Runtime on two cores; what that runtime
already does while it loads a graph (constant folding, Gelu with bias, products with int8 weights) is
left to it. A rule that does not recognise a graph leaves it alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import onnx_ir as ir
from onnx_ir.passes import common

from compress.graph.fuse_attention import ATTENTION_VERSION, fuse_attention
from compress.graph.fuse_mask import simplify_masks
from compress.graph.fuse_norm import keep_residuals_apart
from compress.graph.fuse_shared import share_transposed
from compress.graph.naming import name_by_module

if TYPE_CHECKING:
    from onnx import ModelProto

Level = Literal["standard", "contrib"]


def optimize(model: ModelProto, *, level: Level = "contrib") -> tuple[ModelProto, dict[str, int]]:
    """The same function as a faster graph, and how many of each operator were made for it.

    `standard` keeps to the operator set that the graph was exported with, for every runtime; `contrib`
    also uses what ONNX Runtime's kernels are best at. `model` is left as it is.
    """
    graph = ir.from_proto(model)
    name_by_module(graph.graph)
    made = {"MaskSimplified": simplify_masks(graph.graph), "Shared": share_transposed(graph.graph)}
    _clean(graph)
    made["Sum"] = keep_residuals_apart(graph.graph)
    if level == "contrib" and _can_raise_version(graph):
        made["Attention"] = fuse_attention(graph.graph)
        if made["Attention"]:
            graph.opset_imports[""] = max(ATTENTION_VERSION, graph.opset_imports[""])
    _clean(graph)
    return ir.to_proto(graph), {name: number for name, number in made.items() if number}


_CHANGED_MEANING = {"DFT", "GridSample", "GroupNormalization"}
"""Operators that mean something else in version 23 than in 18; the others only accept more types."""

_OLDEST = 18


def _can_raise_version(graph: ir.Model) -> bool:
    operators = {node.op_type for node in graph.graph.all_nodes() if not node.domain}
    return graph.opset_imports.get("", 0) >= _OLDEST and not operators & _CHANGED_MEANING


def _clean(graph: ir.Model) -> None:
    """Drop what nothing reads, and compute the same only once."""
    for step in (
        common.DeduplicateHashedInitializersPass(size_limit=2**62),
        common.CommonSubexpressionEliminationPass(),
        common.RemoveUnusedNodesPass(),
    ):
        step(graph)
