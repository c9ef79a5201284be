"""ONNX Runtime's fused Attention, where its projections of query, key and value are one matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from onnx import helper

from compress.graph.edit import MICROSOFT, attributes
from compress.graph.linear import is_excluded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from onnx import NodeProto

    from compress.graph.edit import Editor
    from compress.graph.quantized import Matrix, Quantized

_INPUTS = ("x", "weight", "bias", "mask", "past", "attention_bias", "past_sequence_length")
_KEPT = ("num_heads", "unidirectional", "mask_filter_value", "scale")
"""Attributes that QAttention shares with Attention and means alike."""


@dataclass(frozen=True, kw_only=True)
class Attention:
    """A node of type Attention; the names of absent inputs are empty. `weight` is constant (H, 3 D)."""

    node: NodeProto
    x: str
    weight: str
    bias: str
    mask: str
    past: str


def find_attentions(editor: Editor, *, exclude: Sequence[str] = ()) -> Iterator[Attention]:
    """The Attention nodes that QAttention can stand in for: float32 constant weights, equal widths of
    query, key and value, no bias on the scores and no rotary embedding.
    """
    for node in editor.nodes:
        if node.op_type != "Attention" or node.domain != MICROSOFT:
            continue
        names = dict(zip(_INPUTS, [*node.input, *[""] * len(_INPUTS)], strict=False))
        form = editor.form(names["weight"])
        if form is None or form[1] != np.float32 or not _is_plain(node, names):
            continue
        if not is_excluded([node.name, names["weight"]], exclude):
            yield Attention(node=node, **{key: names[key] for key in ("x", "weight", "bias", "mask", "past")})


def quantized_attention(
    editor: Editor, attention: Attention, x: Quantized, matrix: Matrix, *, width: int
) -> NodeProto:
    """The same attention with 8-bit projections to `width` = 3 D channels; the rest stays float32."""
    node = attention.node
    bias = attention.bias or editor.add(np.zeros(width, np.float32), f"{node.output[0]}_bias")
    inputs = [x.codes, matrix.codes, bias, x.scale, matrix.scale, attention.mask, x.zero, matrix.zero]
    settings = attributes(node)
    kept = {name: settings[name] for name in _KEPT if name in settings}
    return helper.make_node(
        "QAttention", [*inputs, attention.past], list(node.output), name=node.name, domain=MICROSOFT, **kept
    )


def _is_plain(node: NodeProto, names: dict[str, str]) -> bool:
    settings = attributes(node)
    sizes = set(settings.get("qkv_hidden_sizes", []))
    flags = ("do_rotary", "past_present_share_buffer", "rotary_embedding_dim")
    return (
        len(sizes) <= 1
        and not any(settings.get(flag, 0) for flag in flags)
        and not names["attention_bias"]
        and not names["past_sequence_length"]
    )
