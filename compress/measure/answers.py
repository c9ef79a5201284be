"""Extracted answers, and how SQuAD compares them."""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING, Any

from compress.data.values import MAY_LACK_ANSWER
from compress.runtime.qa import answer_or_none, best_answer, start_end

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compress.measure.metric import Arrays, Batch
    from compress.runtime.preprocess import Row

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def extracted(outputs: Arrays, batch: Batch) -> list[str]:
    """The best answer of each row, over all windows of its context; of data with questions that have none
    the empty one where the model finds none.
    """
    text = batch.tools.text
    starts, ends = (text.unpadded(logits, batch.encodings) for logits in start_end(outputs))
    windows = list(zip(starts, ends, batch.encodings, strict=True))
    groups = [[windows[number] for number in group] for group in batch.windows()]
    found = zip(groups, batch.rows, strict=True)
    return [_answer(group, row) for group, row in found]


def _answer(windows: Sequence[Any], row: Row) -> str:
    context = str(row["context"])
    if row.get(MAY_LACK_ANSWER):
        return answer_or_none(windows, context)
    return str(best_answer(windows, context)["answer"])


def right_answers(row: Row) -> list[str]:
    """List the right answers of a row; the empty one where the question has none.

    Answers of which normalization leaves nothing do not count (SQuAD 2.0's evaluation script).
    """
    return [answer for answer in row["answers"] if normalized(answer)] or [""]


def normalized(answer: str) -> str:
    """Lower case, without punctuation, articles and double spaces (Rajpurkar et al. 2016)."""
    plain = answer.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", plain).split())
