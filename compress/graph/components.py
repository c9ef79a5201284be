"""Which part of a model a tensor belongs to, by its name, or by the operators around it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto


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

_THROUGH_BACKWARD = {*_THROUGH, "DynamicQuantizeLinear", "QuantizeLinear"} - {"Add", "Sum"}
"""The same backward; a sum has two origins, and one of them is the whole network before it."""

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


class Surroundings:
    """Who reads and who makes each value of a graph, looked up once."""

    def __init__(self, graph: GraphProto) -> None:
        self.readers: dict[str, list[tuple[NodeProto, int]]] = {}
        """By value: the nodes that read it, and as which of their inputs."""
        for node in graph.node:
            for index, name in enumerate(node.input):
                self.readers.setdefault(name, []).append((node, index))
        self.makers = {name: node for node in graph.node for name in node.output}
        self.outputs = {value.name for value in graph.output}
        self.constants = {tensor.name for tensor in graph.initializer}

    def kind(self, node: NodeProto) -> str:
        """A node's type; of a product of two activations, as of queries and keys, `Attention`."""
        both = node.op_type == "MatMul" and not self.constants & set(node.input)
        return "Attention" if both else str(node.op_type)

    def ahead(self, node: NodeProto, depth: int = _DEPTH) -> set[str]:
        """The kinds of nodes that the results of `node` go to, and `output` where they are results
        of the graph; through what leaves a value as it is.
        """
        found = {"output"} if self.outputs & set(node.output) else set()
        for name in node.output if depth else ():
            for reader, _ in self.readers.get(name, ()):
                found |= self.ahead(reader, depth - 1) if reader.op_type in _THROUGH else {self.kind(reader)}
        return found

    def behind(self, node: NodeProto, depth: int = _DEPTH) -> set[str]:
        """The kinds of nodes that the operands of `node` come from."""
        found: set[str] = set()
        for name in node.input if depth else ():
            maker = self.makers.get(name)
            if maker is None:
                continue
            through = maker.op_type in _THROUGH_BACKWARD
            found |= self.behind(maker, depth - 1) if through else {self.kind(maker)}
        return found


def component_of(name: str, around: Surroundings) -> str:
    """The component of a learned tensor. A table that is looked up is an embedding, even where an
    output layer shares it; for the rest a name tells more than the operators around.
    """
    looked_up = any(
        index == 0 and node.op_type in _LOOKUPS | {"DequantizeLinear"} and _is_lookup(node, around)
        for node, index in around.readers.get(name, ())
    )
    if looked_up and component_by_name(name) in {None, "head"}:
        return "embedding"
    return component_by_name(name) or component_by_use(name, around)


def component_by_use(name: str, around: Surroundings) -> str:
    """The component of a tensor without a telling name, by the operators that it meets."""
    for node, index in around.readers.get(name, ()):
        if node.op_type in _NORMS:
            return "norm"
        if node.op_type in _CONVOLUTIONS:
            return "conv"
        if node.op_type in _LOOKUPS and index == 0:
            return "embedding"
        if node.op_type in {"DequantizeLinear", "Transpose", "Reshape"}:
            return component_by_use(node.output[0], around)
        found = _product_for(node, around)
        if found is not None:
            return found
    return "other"


def _is_lookup(node: NodeProto, around: Surroundings) -> bool:
    if node.op_type in _LOOKUPS:
        return True
    return any(reader.op_type in _LOOKUPS for reader, _ in around.readers.get(node.output[0], ()))


def _product_for(node: NodeProto, around: Surroundings) -> str | None:
    """What the result of a product goes to, or what its operand comes from. A bias belongs to the
    product that it is added to.
    """
    products = (
        [around.makers[name] for name in node.input if name in around.makers] if node.op_type == "Add" else []
    )
    near = around.ahead(node)
    for one in [node, *products]:
        near |= around.behind(one)
    if near & _ATTENTION:
        return "attention"
    if near & _ACTIVATIONS:
        return "ffn"
    return "head" if "output" in near else None
