"""Fill-mask: the likeliest tokens in place of the hidden one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from compress.core.errors import CompressError
from compress.runtime.classify import softmax

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer


def fill_masks(
    logits: np.ndarray, encoding: Encoding, *, tokenizer: Tokenizer, mask_id: int, top: int = 5
) -> list[list[dict[str, Any]]]:
    """For each mask of one item its `top` tokens, `{"token", "id", "score"}`, likeliest first.

    `logits` are (T, vocabulary), without padding.

    Raises:
        CompressError: the text has no mask.
    """
    positions = [position for position, token in enumerate(encoding.ids) if token == mask_id]
    if not positions:
        token = tokenizer.id_to_token(mask_id)
        message = f"the text has no {token} to fill"
        raise CompressError("row-unusable", message, hint=f"write {token} where a word is hidden")
    filled = []
    for position in positions:
        probabilities = softmax(logits[position])
        best = np.argsort(-probabilities, kind="stable")[:top]
        filled.append([_candidate(int(index), probabilities, tokenizer) for index in best])
    return filled


def _candidate(index: int, probabilities: np.ndarray, tokenizer: Tokenizer) -> dict[str, Any]:
    token = tokenizer.decode([index]).strip()
    return {"token": token, "id": index, "score": float(probabilities[index])}
