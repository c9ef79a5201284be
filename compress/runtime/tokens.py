"""Token classification: tags of words, and the spans that they make."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from compress.runtime.classify import softmax

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tokenizers import Encoding


def word_positions(encoding: Encoding) -> dict[int, int]:
    """From a word's number to the position of its first token, which is the one that is judged.

    Words that were cut off, or that the tokenizer drops, are not in it.
    """
    positions: dict[int, int] = {}
    for position, word in enumerate(encoding.word_ids):
        if word is not None:
            positions.setdefault(word, position)
    return positions


def word_tags(logits: np.ndarray, encoding: Encoding) -> dict[int, int]:
    """From a word's number to its class, given the logits (T, C) of one item without padding."""
    return {word: int(logits[position].argmax()) for word, position in word_positions(encoding).items()}


def find_spans(
    logits: np.ndarray, encoding: Encoding, *, text: str, names: Mapping[int, str]
) -> list[dict[str, Any]]:
    """The spans of one item, `{"label", "score", "start", "end", "text"}` with offsets in `text`.

    `logits` are (T, C), without padding. Neighbouring tokens of one label make a span, `B-` begins
    another; the score is the mean over its tokens. (`aggregation_strategy="simple"` of transformers.)
    """
    probabilities = softmax(logits)
    classes = probabilities.argmax(axis=-1)
    inside = [position for position, special in enumerate(encoding.special_tokens_mask) if not special]
    groups = _groups([names.get(int(classes[position]), "O") for position in inside])
    spans = []
    for label, first, last in groups:
        if label == "O":
            continue
        positions = inside[first:last]
        start, end = encoding.offsets[positions[0]][0], encoding.offsets[positions[-1]][1]
        score = float(np.mean([probabilities[position].max() for position in positions]))
        spans.append({"label": label, "score": score, "start": start, "end": end, "text": text[start:end]})
    return spans


def _groups(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """Runs of tags as (label, first, last + 1); the label has lost its `B-` or `I-`."""
    labels = [tag[2:] if tag[:2] in ("B-", "I-") else tag for tag in tags]
    starts = [0] if tags else []
    for index, (before, label) in enumerate(pairwise(labels), start=1):
        if label != before or tags[index].startswith("B-"):
            starts.append(index)
    return [(labels[first], first, last) for first, last in pairwise([*starts, len(tags)])]
