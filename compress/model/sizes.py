"""Sizes of a text model, by whatever names its configuration has (GPT-2's `n_embd`, XGLM's `d_model`)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from compress.core.foreign import translated

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Numbers of layers and heads, widths of hidden states and of a head, positions (0: no table). Of heads
    that differ from layer to layer, the most and the widest.
    """

    layers: int
    heads: int
    kv_heads: int
    hidden: int
    head: int
    positions: int


def text_sizes(config: Mapping[str, Any]) -> Sizes:
    """The sizes of a `config.json`, with what transformers takes where it names none.

    Raises:
        CompressError: transformers does not know its `model_type`, or cannot read one of its values.
    """
    from transformers import AutoConfig

    values = json.loads(json.dumps(dict(config)), object_hook=_number)
    with translated("model-unloadable", "transformers cannot read config.json", hint="check config.json"):
        read: Any = AutoConfig.for_model(**values).get_text_config(decoder=True)
        return _sizes(read)


def _sizes(read: Any) -> Sizes:
    # Where layers differ (Gemma 4's heads), the whole configuration does not tell.
    layers = list(getattr(read, "per_layer_config", None) or [read])
    heads = max(int(layer.num_attention_heads) for layer in layers)
    return Sizes(
        layers=int(read.num_hidden_layers),
        heads=heads,
        kv_heads=max(int(getattr(layer, "num_key_value_heads", None) or heads) for layer in layers),
        hidden=int(read.hidden_size),
        head=max(int(getattr(layer, "head_dim", None) or read.hidden_size // heads) for layer in layers),
        positions=int(getattr(read, "max_position_embeddings", None) or 0),
    )


def _number(value: dict[str, Any]) -> Any:
    """Infinity, as transformers writes it into JSON."""
    return float(value["__float__"]) if set(value) == {"__float__"} else value
