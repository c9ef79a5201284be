"""Spearman's correlation of the similarity of two texts with the score that people gave.

The similarity is the model's own: the cosine unless its files name another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from compress.measure.metric import Comparison, Metric, comparison
from compress.measure.prepare import pairs
from compress.stats.chance import above_zero
from compress.stats.rank import spearman

if TYPE_CHECKING:
    from compress.measure.metric import Arrays, Batch, Records
    from compress.stats.chance import Lift


def observe(outputs: Arrays, reference: Arrays, batch: Batch) -> Records:
    """`score` (n,) similarities, and `label` (n,) what people said."""
    del reference
    return {
        "score": batch.tools.head.similarities(outputs, batch.feeds),
        "label": np.array([row["label"] for row in batch.rows], np.float64),
    }


def compare(reference: Records, result: Records) -> Comparison:
    """By influences of the pairs on both correlations."""
    before = spearman(reference["score"], reference["label"])
    return comparison(before, spearman(result["score"], result["label"]))


def lift(records: Records) -> Lift:
    """Take the correlation; chance gives none."""
    return above_zero(spearman(records["score"], records["label"]))


METRIC = Metric(
    name="spearman",
    kind="task",
    tasks=frozenset({"feature-extraction"}),
    default_for=frozenset({"feature-extraction"}),
    needs_labels=True,
    spread=0.2,
    prepare=pairs,
    observe=observe,
    compare=compare,
    lift=lift,
)
