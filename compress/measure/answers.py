"""Extracted answers, and how SQuAD compares them."""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING

from compress.runtime.qa import best_answer, start_end

if TYPE_CHECKING:
    from compress.measure.metric import Arrays, Batch

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def extracted(outputs: Arrays, batch: Batch) -> list[str]:
    """The best answer of each row, over all windows of its context."""
    text = batch.tools.text
    starts, ends = (text.unpadded(logits, batch.encodings) for logits in start_end(outputs))
    windows = list(zip(starts, ends, batch.encodings, strict=True))
    groups = [[windows[number] for number in group] for group in batch.windows()]
    found = zip(groups, batch.rows, strict=True)
    return [str(best_answer(group, str(row["context"]))["answer"]) for group, row in found]


def normalized(answer: str) -> str:
    """Lower case, without punctuation, articles and double spaces (Rajpurkar et al. 2016)."""
    plain = answer.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", plain).split())
