"""Exact match of extracted answers: the share of items whose answer is one of the right ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from compress.measure.answers import extracted, normalized
from compress.measure.metric import Metric
from compress.measure.metrics.accuracy import compare
from compress.measure.prepare import windowed

if TYPE_CHECKING:
    from compress.measure.metric import Arrays, Batch, Records


def observe(outputs: Arrays, reference: Arrays, batch: Batch) -> Records:
    """`right` (n,): 1 where the answers are the same after SQuAD's normalization."""
    del reference
    said = [normalized(answer) for answer in extracted(outputs, batch)]
    there = [{normalized(answer) for answer in row["answers"] or [""]} for row in batch.rows]
    return {"right": np.array([int(one in right) for one, right in zip(said, there, strict=True)])}


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
)
