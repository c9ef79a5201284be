"""Which part of a model a tensor belongs to, by its name, or by the operators around it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from onnx import GraphProto, NodeProto

    Readers = Mapping[str, Sequence[tuple[NodeProto, int]]]

_PATTERNS = {
    "norm": r"[a-z_]*(norm|layrnorm)[a-z_]*\d*|ln_?[a-z\d]*|bn\d*",
    "head": r"""lm_head|classifier|cls|pooler|qa_outputs|score|predictions?|logits|[a-z]*_head|head
        |vocab_projector|vocab_transform|pre_classifier|projector|text_projection|visual_projection""",
    "conv": r"""conv\d*|dwconv|conv_layers?|pos_conv_embed|convolution|patch_embeddings?|patch_embed
        |stem""",
    "attention": r"""[a-z_]*attn\w*|[a-z_]*attention\w*|[qkvo]_proj|[qkv]_lin|out_lin|query\w*|key\w*
        |value\w*|w?qkv|relative_attention_bias|relative_position_bias_table""",
    "ffn": r"""mlp|ffn\w*|feed_forward|intermediate\w*|output\w*|densereludense|fc\d*|lin\d|pwconv\d
        |experts?|(gate|up|down)_proj|wi(_\d)?|wo|full_layer""",
    "embedding": r"[a-z_]*embed\w*|wte|wpe|shared|position_ids|[a-z_]*_token",
}
_RULES = {name: re.compile(pattern, re.IGNORECASE | re.VERBOSE) for name, pattern in _PATTERNS.items()}
"""By component: what one part of a dotted name (`encoder.layer.0.attention.self.query.weight`) looks
like. The order decides where several match: a norm inside an attention block is a norm."""

_THROUGH = {"Add", "Cast", "Mul", "Reshape", "Split", "Squeeze", "Sum", "Transpose", "Unsqueeze"}
"""Operators that leave a value what it is, when asking what a product is for."""

_ATTENTION = {"Attention", "MultiHeadAttention", "GroupQueryAttention", "QAttention", "Softmax"}
_ACTIVATIONS = {
    "BiasGelu",
    "Erf",
    "FastGelu",
    "Gelu",
    "HardSwish",
    "QuickGelu",
    "Relu",
    "Sigmoid",
    "Silu",
    "Tanh",
}
_NORMS = {
    "BatchNormalization", "GroupNormalization", "InstanceNormalization", "LayerNormalization",
    "RMSNormalization", "SimplifiedLayerNormalization", "SkipLayerNormalization",
    "SkipSimplifiedLayerNormalization",
}  # fmt: skip
_LOOKUPS = {"Gather", "GatherBlockQuantized", "GatherND"}
_CONVOLUTIONS = {"Conv", "ConvInteger", "ConvTranspose", "FusedConv", "QLinearConv"}
_DEPTH = 6


def component_by_name(name: str) -> str | None:
    """The component that a dotted name tells; None for a name that tells nothing.

    An embedding's norm is `norm`, and an attention's output layer is `attention`.
    """
    parts = name.split(".")
    if len(parts) == 1:
        return None
    if parts[0] == "decoder" and len(parts) == 2:  # the output layer of a masked language model
        return "head"
    for component, pattern in _RULES.items():
        if any(pattern.fullmatch(part) for part in parts[:-1]):
            return component
    return "embedding" if _RULES["embedding"].fullmatch(parts[-1]) else None


def component_of(name: str, graph: GraphProto, readers: Readers) -> str:
    """The component of a learned tensor. A table that is looked up is an embedding, even where an
    output layer shares it; for the rest a name tells more than the operators around.
    """
    lookups = {node.op_type for node, index in readers.get(name, ()) if index == 0} & _LOOKUPS
    if lookups and component_by_name(name) in {None, "head"}:
        return "embedding"
    return component_by_name(name) or component_by_use(name, graph, readers)


def component_by_use(name: str, graph: GraphProto, readers: Readers) -> str:
    """The component of a tensor without a telling name, by the operators that it meets."""
    for node, index in readers.get(name, ()):
        if node.op_type in _NORMS:
            return "norm"
        if node.op_type in _CONVOLUTIONS:
            return "conv"
        if node.op_type in _LOOKUPS and index == 0:
            return "embedding"
        if node.op_type in {"DequantizeLinear", "Transpose", "Reshape"}:
            return component_by_use(node.output[0], graph, readers)
        found = _product_for(node, graph, readers)
        if found is not None:
            return found
    return "other"


def _product_for(node: NodeProto, graph: GraphProto, readers: Readers) -> str | None:
    """What the result of a product goes to, or what its operand comes from."""
    outputs = {value.name for value in graph.output}
    ahead = _meets(node, 0, readers)
    makers = {name: other for other in graph.node for name in other.output}
    behind = _comes_from(node, 0, makers)
    if ahead & _ATTENTION or behind & _ATTENTION:
        return "attention"
    if ahead & _ACTIVATIONS or behind & _ACTIVATIONS:
        return "ffn"
    return "head" if any(name in outputs for name in _reached(node, 0, readers)) else None


def _meets(node: NodeProto, depth: int, readers: Readers) -> set[str]:
    found: set[str] = set()
    for name in node.output if depth < _DEPTH else ():
        for reader, _ in readers.get(name, ()):
            found |= _meets(reader, depth + 1, readers) if reader.op_type in _THROUGH else {reader.op_type}
    return found


def _reached(node: NodeProto, depth: int, readers: Readers) -> set[str]:
    names = set(node.output)
    for name in node.output if depth < _DEPTH else ():
        for reader, _ in readers.get(name, ()):
            names |= _reached(reader, depth + 1, readers) if reader.op_type in _THROUGH else set()
    return names


def _comes_from(node: NodeProto, depth: int, makers: Mapping[str, NodeProto]) -> set[str]:
    found: set[str] = set()
    for name in node.input if depth < _DEPTH else ():
        maker = makers.get(name)
        if maker is not None:
            through = maker.op_type in {*_THROUGH, "DynamicQuantizeLinear"} - {"Add", "Sum"}
            found |= _comes_from(maker, depth + 1, makers) if through else {maker.op_type}
    return found
