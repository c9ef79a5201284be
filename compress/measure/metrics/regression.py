"""Spearman's correlation of a model's score (a classifier with one output) with the right one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from compress.measure.metric import Metric
from compress.measure.metrics.spearman import compare
from compress.measure.prepare import whole
from compress.runtime.outputs import logits_of

if TYPE_CHECKING:
    from compress.measure.metric import Arrays, Batch, Records


def observe(outputs: Arrays, reference: Arrays, batch: Batch) -> Records:
    """`score` (n,) of the model, and `label` (n,)."""
    del reference
    return {
        "score": logits_of(outputs)[:, 0].astype(np.float64),
        "label": np.array([row["label"] for row in batch.rows], np.float64),
    }


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
)
