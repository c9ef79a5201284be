"""What a model decides, whatever its task: rows of logits over classes, and the item of each.

A classifier decides once an item, a tagger once a token, an answerer twice (where an answer starts and
ends, the classes being positions), a transcriber once a frame, a language model once a token to find.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from compress.core.errors import CompressError
from compress.runtime.embed import frame_mask
from compress.runtime.outputs import logits_of
from compress.runtime.qa import start_end
from compress.runtime.tokens import judged, word_places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from compress.measure.metric import Arrays, Batch

_ROWS = 64
"""Rows of logits that are turned into float64 probabilities at once."""


@dataclass(frozen=True)
class Decisions:
    """`logits` (decisions, classes), the item of each, and the class that means nothing is there
    (`O`, blank), if there is one.
    """

    logits: np.ndarray
    items: np.ndarray
    background: int | None = None


def decisions(outputs: Arrays, batch: Batch) -> Decisions:
    """The decisions in one batch of outputs."""
    by_task: dict[str, Callable[[Arrays, Batch], Decisions]] = {
        "token-classification": _of_tokens,
        "question-answering": _of_spans,
        "automatic-speech-recognition": _of_frames,
        "fill-mask": _of_targets,
        "text-generation": _of_targets,
    }
    return by_task.get(batch.tools.task, _of_items)(outputs, batch)


def both(outputs: Arrays, reference: Arrays, batch: Batch) -> tuple[Decisions, Decisions]:
    """The decisions of a contender and of the reference, one for one. Where their tokens differ, taggers
    are compared at the first token of each word.

    Raises:
        CompressError: the decisions of this task are about tokens that only one of them has.
    """
    original = batch.original
    if original is None:
        return decisions(outputs, batch), decisions(reference, batch)
    if batch.tools.task == "token-classification":
        return _at_words(outputs, batch, original), _at_words(reference, original, batch)
    if batch.tools.task == "question-answering":
        message = "answers are compared by their places among the tokens, and a candidate has other tokens"
        raise CompressError("metric-vocabulary", message, hint="give data with answers: --metric answer_f1")
    return decisions(outputs, batch), decisions(reference, original)


def _at_words(outputs: Arrays, batch: Batch, other: Batch) -> Decisions:
    """Of each word that both tokenizers saw the first token."""
    parts = batch.tools.text.unpadded(logits_of(outputs), batch.encodings)
    found = []
    for own, beside in zip(_places(batch), _places(other), strict=True):
        chosen = [parts[number][position] for word, (number, position) in own.items() if word in beside]
        found.append(np.array(chosen, dtype=np.float32).reshape(-1, parts[0].shape[-1]))
    items = np.repeat(np.arange(len(found)), [len(part) for part in found])
    return Decisions(np.concatenate(found), items, _outside(batch))


def _places(batch: Batch) -> list[dict[int, tuple[int, int]]]:
    """Of each row the input and position of the first token of each word."""
    places = []
    for group in batch.windows():
        found = word_places([batch.encodings[number] for number in group], batch.tools.text.overlap)
        places.append({word: (group[number], position) for word, (number, position) in found.items()})
    return places


def log_probabilities(logits: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Slices of rows with their log softmax in float64, few rows at a time, since a row of a language
    model is as long as its vocabulary.
    """
    for start in range(0, len(logits), _ROWS):
        part = logits[start : start + _ROWS].astype(np.float64)
        part -= part.max(axis=-1, keepdims=True)
        yield slice(start, start + len(part)), part - np.log(np.exp(part).sum(axis=-1, keepdims=True))


def summed(values: np.ndarray, items: np.ndarray, count: int) -> np.ndarray:
    """Values (decisions,) summed for each of `count` items."""
    return np.bincount(items, weights=values, minlength=count)


def _of_items(outputs: Arrays, batch: Batch) -> Decisions:
    logits = logits_of(outputs)
    if batch.tools.config.get("problem_type") != "multi_label_classification":
        return Decisions(logits, np.arange(len(logits)))
    # Each label is a decision of its own: the sigmoid of x is the softmax of (0, x).
    both = np.stack([np.zeros_like(logits), logits], axis=-1)  # (B, labels, 2)
    return Decisions(both.reshape(-1, 2), np.repeat(np.arange(len(logits)), logits.shape[1]))


def _of_tokens(outputs: Arrays, batch: Batch) -> Decisions:
    parts = batch.tools.text.unpadded(logits_of(outputs), batch.encodings)
    marked = []
    for group in batch.windows():
        marked += judged([batch.encodings[number] for number in group], batch.tools.text.overlap)
    kept = [part[mask] for part, mask in zip(parts, marked, strict=True)]
    items = np.repeat(np.array(batch.owners), [len(part) for part in kept])
    return Decisions(np.concatenate(kept), items, _outside(batch))


def _outside(batch: Batch) -> int | None:
    return next((index for index, name in batch.tools.names.items() if name == "O"), None)


def _of_spans(outputs: Arrays, batch: Batch) -> Decisions:
    mask = batch.feeds.get("attention_mask", np.array(1))
    both = [np.where(mask, logits, np.finfo(np.float32).min) for logits in start_end(outputs)]
    owners = np.array(batch.owners)
    return Decisions(np.concatenate(both), np.concatenate([owners, owners]))


def _of_frames(outputs: Arrays, batch: Batch) -> Decisions:
    logits = logits_of(outputs)  # (B, T, vocabulary)
    kept = frame_mask(batch.feeds, logits.shape).astype(bool)
    return Decisions(logits[kept], np.nonzero(kept)[0], batch.tools.config.get("pad_token_id") or 0)


def _of_targets(outputs: Arrays, batch: Batch) -> Decisions:
    assert batch.scored is not None
    return Decisions(logits_of(outputs)[batch.scored], np.nonzero(batch.scored)[0])
