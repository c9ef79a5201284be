"""Fidelity of scores: their rank correlation with the original's, of several outputs the mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from compress.measure.metric import Comparison, Metric, comparison
from compress.measure.metrics.regression import correlation
from compress.measure.prepare import whole
from compress.runtime.outputs import logits_of
from compress.stats.estimate import Estimate

if TYPE_CHECKING:
    from compress.measure.metric import Arrays, Batch, Records


def observe(outputs: Arrays, reference: Arrays, batch: Batch) -> Records:
    """`score` (n, outputs)."""
    del reference, batch
    return {"score": logits_of(outputs).astype(np.float64)}


def compare(reference: Records, result: Records) -> Comparison:
    """By influences."""
    original = Estimate(1.0, np.zeros(len(result["score"])))
    return comparison(original, correlation(reference["score"], result["score"]))


METRIC = Metric(
    name="score_rank",
    kind="fidelity",
    tasks=frozenset({"regression"}),
    default_for=frozenset({"regression"}),
    alone=True,
    spread=0.05,
    prepare=whole,
    observe=observe,
    compare=compare,
)
