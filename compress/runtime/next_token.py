"""The likeliest continuations of a text by a causal language model, for graphs without a KV cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from compress.runtime.classify import softmax

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def next_tokens(logits: np.ndarray, tokenizer: Tokenizer, *, best: int = 5) -> list[dict[str, Any]]:
    """The `best` tokens that may follow a text, `{"token", "score"}`, likeliest first.

    `logits` are (T, V): of the text's own tokens, without padding.
    """
    chances = softmax(logits[-1:].astype(np.float32))[0]
    order = np.argsort(-chances)[:best]
    return [{"token": tokenizer.decode([int(index)]), "score": float(chances[index])} for index in order]
