"""How many tokens a text model takes, from the files beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compress.core.positions import OFFSET_TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping

UNBOUNDED = 512
"""Tokens to cut at where no file sets a limit (relative positions, as in T5)."""


def text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a configuration that speaks of text (CLIP and others nest it)."""
    nested = config.get("text_config")
    return nested if isinstance(nested, dict) else config


def embedding_rows(config: Mapping[str, Any]) -> int | None:
    """Rows of the table of embeddings, which ids of tokens are below; None where config.json says nothing."""
    rows = text_config(config).get("vocab_size", config.get("vocab_size"))
    return rows if isinstance(rows, int) and rows > 0 else None


def position_offset(config: Mapping[str, Any]) -> int:
    """The number of the first position: 0, or `pad_token_id + 1` in RoBERTa's family."""
    config = text_config(config)
    if config.get("model_type") not in OFFSET_TYPES:
        return 0
    pad = config.get("pad_token_id")
    return (1 if pad is None else int(pad)) + 1


def max_tokens(
    *, config: Mapping[str, Any], tokenizer: Mapping[str, Any], sentence: Mapping[str, Any]
) -> int:
    """Tokens after which texts are cut, special tokens included.

    `config` is config.json, `tokenizer` tokenizer_config.json and `sentence` sentence_bert_config.json
    (which wins, as in sentence-transformers); no limit exceeds the table of positions.
    """
    limits = [_table(config)]
    named = sentence.get("max_seq_length") or tokenizer.get("model_max_length")
    # transformers writes 1e30 where there is no limit.
    if isinstance(named, int | float) and 0 < named < 1e9:
        limits.append(int(named))
    known = [limit for limit in limits if limit]
    return min(known) if known else UNBOUNDED


def _table(config: Mapping[str, Any]) -> int:
    config = text_config(config)
    names = ("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx")
    rows = next((config[name] for name in names if isinstance(config.get(name), int)), 0)
    return max(int(rows) - position_offset(config), 0)
