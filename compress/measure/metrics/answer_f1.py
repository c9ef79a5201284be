"""F1 of the words that an extracted answer shares with the right one, as SQuAD scores it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from compress.measure.answers import extracted, normalized
from compress.measure.metric import Comparison, Metric, comparison
from compress.measure.prepare import windowed
from compress.stats.sums import mean

if TYPE_CHECKING:
    from compress.measure.metric import Arrays, Batch, Records


def observe(outputs: Arrays, reference: Arrays, batch: Batch) -> Records:
    """`f1` (n,): the best over the right answers of each item."""
    del reference
    right = [row["answers"] or [""] for row in batch.rows]
    both = zip(extracted(outputs, batch), right, strict=True)
    return {"f1": np.array([max(overlap(said, answer) for answer in answers) for said, answers in both])}


def overlap(said: str, right: str) -> float:
    """F1 of the words of two answers; 1 if both are empty, 0 if one is (Rajpurkar et al. 2018)."""
    first, second = normalized(said).split(), normalized(right).split()
    if not first or not second:
        return float(first == second)
    return 2 * (Counter(first) & Counter(second)).total() / (len(first) + len(second))


def compare(reference: Records, result: Records) -> Comparison:
    """By influences; one item may lose all."""
    return comparison(mean(reference["f1"]), mean(result["f1"]), unit=1.0)


METRIC = Metric(
    name="answer_f1",
    kind="task",
    tasks=frozenset({"question-answering"}),
    default_for=frozenset({"question-answering"}),
    needs_labels=True,
    aliases=("f1", "token_f1"),
    prepare=windowed,
    observe=observe,
    compare=compare,
)
