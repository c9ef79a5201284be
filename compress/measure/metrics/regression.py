"""Spearman's correlation of a model's scores with the right ones: of several outputs the mean over them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from compress.core.errors import CompressError
from compress.measure.metric import Comparison, Metric, comparison
from compress.measure.prepare import whole
from compress.runtime.outputs import logits_of
from compress.stats.chance import above_zero
from compress.stats.f_score import average
from compress.stats.rank import spearman

if TYPE_CHECKING:
    from compress.measure.metric import Arrays, Batch, Records
    from compress.stats.chance import Lift
    from compress.stats.estimate import Estimate


def observe(outputs: Arrays, reference: Arrays, batch: Batch) -> Records:
    """Record `score` (n, outputs) of the model, and `label` (n, outputs).

    Raises:
        CompressError: The labels are not as many as the outputs.
    """
    del reference
    scores = logits_of(outputs).astype(np.float64)
    labels = np.array([row["label"] for row in batch.rows], np.float64).reshape(len(batch.rows), -1)
    if labels.shape != scores.shape:
        message = f"the model gives {scores.shape[1]} scores a row, and the data has {labels.shape[1]}"
        raise CompressError("label-several", message, hint="write a list of scores a row")
    return {"score": scores, "label": labels}


def correlation(scores: np.ndarray, labels: np.ndarray) -> Estimate:
    """Average over outputs the rank correlation of two arrays (n, outputs)."""
    return average([spearman(one, other) for one, other in zip(scores.T, labels.T, strict=True)])


def compare(reference: Records, result: Records) -> Comparison:
    """Compare by influences of the items on both correlations."""
    before = correlation(reference["score"], reference["label"])
    return comparison(before, correlation(result["score"], result["label"]))


def lift(records: Records) -> Lift:
    """Take the correlation; chance gives none."""
    return above_zero(correlation(records["score"], records["label"]))


METRIC = Metric(
    name="spearman",
    kind="task",
    tasks=frozenset({"regression"}),
    default_for=frozenset({"regression"}),
    needs_labels=True,
    spread=0.2,
    prepare=whole,
    observe=observe,
    compare=compare,
    lift=lift,
)
