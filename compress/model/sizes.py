"""Sizes of a text model, by whatever names its configuration has (GPT-2's `n_embd`, XGLM's `d_model`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Numbers of layers and heads, widths of hidden states and of a head, and positions (0: no table)."""

    layers: int
    heads: int
    kv_heads: int
    hidden: int
    head: int
    positions: int


def text_sizes(config: Mapping[str, Any]) -> Sizes:
    """The sizes of a `config.json`, with what transformers takes where it names none.

    Raises:
        ValueError: transformers does not know its `model_type`.
    """
    from transformers import AutoConfig

    read: Any = AutoConfig.for_model(**config).get_text_config(decoder=True)
    heads, hidden = int(read.num_attention_heads), int(read.hidden_size)
    return Sizes(
        layers=int(read.num_hidden_layers),
        heads=heads,
        kv_heads=int(getattr(read, "num_key_value_heads", None) or heads),
        hidden=hidden,
        head=int(getattr(read, "head_dim", None) or hidden // heads),
        positions=int(getattr(read, "max_position_embeddings", None) or 0),
    )
