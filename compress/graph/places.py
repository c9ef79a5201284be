"""Which part of a model each operator of a graph works for: by its weights, or by what is around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compress.graph.components import Surroundings, component_of

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

_BY_TYPE = {
    "Attention": "attention", "GroupQueryAttention": "attention", "MultiHeadAttention": "attention",
    "QAttention": "attention", "RotaryEmbedding": "attention", "Softmax": "attention",
    "BatchNormalization": "norm", "GroupNormalization": "norm", "InstanceNormalization": "norm",
    "LayerNormalization": "norm", "RMSNormalization": "norm", "SimplifiedLayerNormalization": "norm",
    "SkipGroupNorm": "norm", "SkipLayerNormalization": "norm", "SkipSimplifiedLayerNormalization": "norm",
    "EmbedLayerNormalization": "embedding",
    "BiasGelu": "ffn", "Erf": "ffn", "FastGelu": "ffn", "Gelu": "ffn", "MoE": "ffn", "QMoE": "ffn",
    "QuickGelu": "ffn",
    "Conv": "conv", "ConvInteger": "conv", "FusedConv": "conv", "NhwcFusedConv": "conv",
    "QLinearConv": "conv",
}  # fmt: skip
"""Operators that exist for one part, or nearly so. A name of their weights tells more where it tells."""

_NEAR = 6
"""Operators that are looked at on the way to one whose part is known."""


def node_components(model: ModelProto) -> dict[str, str]:
    """The component of each node by the node's name: as `components` names them, `other` where nothing tells.

    A node with weights belongs where they do; one without to the next that reads its results, else to the
    one that they came from: quantizing an input belongs to the product that reads it.
    """
    graph = model.graph
    around = Surroundings(graph)
    known = {index: _own(node, around) for index, node in enumerate(graph.node)}
    ahead, behind = _neighbours(graph)
    found = {}
    for index, node in enumerate(graph.node):
        place = known[index] or _nearest(index, ahead, known) or _nearest(index, behind, known)
        found[node.name] = place or "other"
    return found


def _own(node: NodeProto, around: Surroundings) -> str | None:
    """What a node's weights tell, or its type."""
    learned = [name for name in node.input if name in around.constants]
    told = [component_of(name, around) for name in learned]
    by_weights = next((place for place in told if place != "other"), None)
    if by_weights is None and around.kind(node) == "Attention":
        return "attention"
    return by_weights or _BY_TYPE.get(node.op_type)


def _neighbours(graph: GraphProto) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    """By the index of a node: those that read its results, and those whose results it reads."""
    makers = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
    ahead: dict[int, list[int]] = {index: [] for index in range(len(graph.node))}
    behind: dict[int, list[int]] = {index: [] for index in range(len(graph.node))}
    for index, node in enumerate(graph.node):
        for maker in dict.fromkeys(makers[name] for name in node.input if name in makers):
            ahead[maker].append(index)
            behind[index].append(maker)
    return ahead, behind


def _nearest(start: int, links: dict[int, list[int]], known: dict[int, str | None]) -> str | None:
    """The component of the nearest node along `links` that has one, breadth first."""
    seen, edge = {start}, [start]
    for _ in range(_NEAR):
        edge = [other for one in edge for other in links[one] if other not in seen]
        for one in edge:
            if known[one]:
                return known[one]
        seen.update(edge)
    return None
