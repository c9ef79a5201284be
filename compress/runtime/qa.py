"""Extractive question answering: the likeliest span of the context."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from compress.core.errors import CompressError
from compress.runtime.classify import softmax

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tokenizers import Encoding

LONGEST_ANSWER = 30
"""Tokens an answer may have (as in SQuAD's reference script for BERT)."""


def start_end(outputs: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The logits (B, T) of where answers start and end, by name or else by place.

    Raises:
        CompressError: The graph has one output.
    """
    if "start_logits" in outputs and "end_logits" in outputs:
        return outputs["start_logits"], outputs["end_logits"]
    if len(outputs) < 2:
        message = f"the graph gives {', '.join(outputs)}, expected start_logits and end_logits"
        raise CompressError("graph-failed", message, hint="is its task question-answering?")
    first, second, *_ = outputs.values()
    return first, second


def best_answer(windows: Sequence[tuple[np.ndarray, np.ndarray, Encoding]], context: str) -> dict[str, Any]:
    """The best span over the windows of one item: `{"answer", "score", "start", "end"}`.

    Each window is its start and end logits (T,) without padding, and its encoding. The span with the
    largest sum of logits wins; its score is the product of both probabilities within its window.
    """
    best = max((_best_span(*window) for window in windows), key=lambda span: span[0])
    _, score, start, end = best
    return {"answer": context[start:end], "score": score, "start": start, "end": end}


def answer_or_none(windows: Sequence[tuple[np.ndarray, np.ndarray, Encoding]], context: str) -> str:
    """Choose the best answer over the windows of one item, or none where the model says that there is none.

    A model that was trained on SQuAD 2.0 (Rajpurkar et al. 2018) says so by pointing at its first token,
    `[CLS]`. As transformers' pipeline does with `handle_impossible_answer`: nothing is answered where the
    least probability of that over all windows is above the best span's.
    """
    judged = [_span_or_null(*window) for window in windows]
    null = min(window[0] for window in judged)
    _, score, start, end = max(judged, key=lambda window: window[1])
    return "" if null > score else context[start:end]


def _span_or_null(start: np.ndarray, end: np.ndarray, encoding: Encoding) -> tuple[float, float, int, int]:
    """Compute the probability that a window has no answer, that of its best span, and its offsets."""
    numbers = encoding.sequence_ids
    inside = np.array([number == 1 for number in numbers])
    if not inside.any():
        return 1.0, 0.0, 0, 0
    possible = inside.copy()
    possible[0] = numbers[0] is None
    starts, ends = (softmax(np.where(possible, logits, -np.inf)) for logits in (start, end))
    null = float(starts[0] * ends[0])
    spans = _allowed(np.where(inside, starts, 0.0)[:, None] * np.where(inside, ends, 0.0)[None, :])
    first, last = np.unravel_index(int(spans.argmax()), spans.shape)
    offsets = encoding.offsets
    return null, float(spans[first, last]), offsets[first][0], offsets[last][1]


def _allowed(spans: np.ndarray) -> np.ndarray:
    """Zero the values (T, T) of spans, by first and last token, that end before they start or are long."""
    return np.asarray(np.triu(spans) - np.triu(spans, LONGEST_ANSWER))


def _best_span(start: np.ndarray, end: np.ndarray, encoding: Encoding) -> tuple[float, float, int, int]:
    inside = np.array([number == 1 for number in encoding.sequence_ids])
    if not inside.any():
        return -np.inf, 0.0, 0, 0
    start, end = (np.where(inside, logits.astype(np.float64), -np.inf) for logits in (start, end))
    sums = start[:, None] + end[None, :]  # (T, T)
    possible = np.triu(np.ones_like(sums, dtype=bool)) & ~np.triu(
        np.ones_like(sums, dtype=bool), LONGEST_ANSWER
    )
    sums = np.where(possible, sums, -np.inf)
    first, last = np.unravel_index(int(sums.argmax()), sums.shape)
    probability = float(softmax(start)[first] * softmax(end)[last])
    offsets = encoding.offsets
    return float(sums[first, last]), probability, offsets[first][0], offsets[last][1]
