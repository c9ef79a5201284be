"""Token classification: tags of words, and the spans that they make."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from compress.runtime.classify import softmax

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tokenizers import Encoding


def judged(windows: Sequence[Encoding], overlap: int) -> list[np.ndarray]:
    """Mark the tokens of a text in the window where each has more context.

    Args:
        windows: The windows of one text in order, of which two neighbours share `overlap` tokens.
        overlap: Half of them are judged in the first of the two, half in the second.

    Returns:
        Of each window (T,) bool, false at special tokens. Every token of the text is marked once.
    """
    masks = []
    for number, window in enumerate(windows):
        inside = np.flatnonzero(np.array(window.special_tokens_mask) == 0)
        first = overlap - overlap // 2 if number else 0
        last = len(inside) - (overlap // 2 if number + 1 < len(windows) else 0)
        mask = np.zeros(len(window), dtype=bool)
        mask[inside[first:last]] = True
        masks.append(mask)
    return masks


def word_places(windows: Sequence[Encoding], overlap: int) -> dict[int, tuple[int, int]]:
    """Find the first token of each word of a text: from the word's number to its window and position."""
    places: dict[int, tuple[int, int]] = {}
    for number, (window, mask) in enumerate(zip(windows, judged(windows, overlap), strict=True)):
        for position, (word, marked) in enumerate(zip(window.word_ids, mask, strict=True)):
            if marked and word is not None:
                places.setdefault(word, (number, position))
    return places


def tags_of_words(windows: Sequence[tuple[Encoding, np.ndarray]], overlap: int) -> dict[int, int]:
    """Classify each word of a text by its first token.

    Args:
        windows: The windows of one text, each with its logits (T, C) without padding.
        overlap: Tokens that two neighbours share.

    Returns:
        From a word's number to its class; a word that the tokenizer drops is not in it.
    """
    places = word_places([encoding for encoding, _ in windows], overlap)
    return {word: int(windows[number][1][position].argmax()) for word, (number, position) in places.items()}


def joined_spans(spans: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Keep one of the spans that overlap, since two windows saw the same text.

    Args:
        spans: Those of all windows of one text.

    Returns:
        Of spans that overlap the longest, of equally long ones the likeliest, in the order of the text.
        (As transformers' pipeline does with a `stride`.)
    """
    kept: list[dict[str, Any]] = []
    for span in sorted(spans, key=lambda span: span["start"]):
        if not kept or span["start"] >= kept[-1]["end"]:
            kept.append(span)
        elif _extent(span) > _extent(kept[-1]):
            kept[-1] = span
    return kept


def _extent(span: dict[str, Any]) -> tuple[int, float]:
    return span["end"] - span["start"], span["score"]


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
