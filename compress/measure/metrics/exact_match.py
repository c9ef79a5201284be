"""Exact match of extracted answers: the share of items whose answer is one of the right ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from compress.measure.answers import extracted, normalized, right_answers
from compress.measure.metric import Metric
from compress.measure.metrics.accuracy import compare
from compress.measure.metrics.answer_f1 import lift_over_silence, silence
from compress.measure.prepare import windowed

if TYPE_CHECKING:
    from compress.measure.metric import Arrays, Batch, Records
    from compress.stats.chance import Lift


def observe(outputs: Arrays, reference: Arrays, batch: Batch) -> Records:
    """`right` (n,): 1 where the answers are the same after SQuAD's normalization; and `silence`."""
    del reference
    said, right = extracted(outputs, batch), [right_answers(row) for row in batch.rows]
    there = [{normalized(answer) for answer in answers} for answers in right]
    both = zip(said, there, strict=True)
    return {
        "right": np.array([int(normalized(one) in answers) for one, answers in both]),
        **silence(said, right),
    }


def lift(records: Records) -> Lift:
    """Compare exact matches with those of silence."""
    return lift_over_silence(records["right"], records)


METRIC = Metric(
    name="exact_match",
    kind="task",
    tasks=frozenset({"question-answering"}),
    needs_labels=True,
    aliases=("em",),
    unit=1.0,
    prepare=windowed,
    observe=observe,
    compare=compare,
    lift=lift,
)
