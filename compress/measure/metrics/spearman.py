"""Spearman's correlation of the cosine similarity of two texts with the score that people gave."""

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
    """`score` (n,) cosines, and `label` (n,) what people said."""
    del reference
    vectors = batch.tools.head.apply(outputs, batch.feeds, normalize=True)
    first, second = np.split(vectors.astype(np.float64), 2)
    return {
        "score": (first * second).sum(axis=-1),
        "label": np.array([row["label"] for row in batch.rows], np.float64),
    }


def compare(reference: Records, result: Records) -> Comparison:
    """By influences of the pairs on both correlations."""
    before = spearman(reference["score"], reference["label"])
    return comparison(before, spearman(result["score"], result["label"]))


def lift(records: Records) -> Lift:
    """The correlation; chance gives none."""
    return above_zero(spearman(records["score"], records["label"]))


METRIC = Metric(
    name="spearman",
    kind="task",
    tasks=frozenset({"feature-extraction"}),
    default_for=frozenset({"feature-extraction"}),
    needs_labels=True,
    prepare=pairs,
    observe=observe,
    compare=compare,
    lift=lift,
)
