"""F1 over labels of which an item may have several: hits over all items and labels (micro average)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from compress.measure.metric import Comparison, Metric, comparison
from compress.measure.prepare import whole
from compress.runtime.outputs import logits_of
from compress.stats.chance import Lift
from compress.stats.estimate import Estimate
from compress.stats.f_score import f1

if TYPE_CHECKING:
    from compress.measure.metric import Arrays, Batch, Records

MULTI_LABEL = "multi-label"
"""Classifiers whose classes do not exclude each other, as a task of metrics."""


def observe(outputs: Arrays, reference: Arrays, batch: Batch) -> Records:
    """Record `said` and `there` (n, labels): 1 where the model says the label, and where it holds."""
    del reference
    return {
        "said": (logits_of(outputs) > 0).astype(np.int64),
        "there": np.array([row["label"] for row in batch.rows], np.int64),
    }


def compare(reference: Records, result: Records) -> Comparison:
    """Compare by influences; one changed label is the least that one item may cost."""
    labels_an_item = float(result["there"].sum(axis=1).mean())
    return comparison(_micro(reference), _micro(result), unit=1 / max(labels_an_item, 1.0))


def _micro(records: Records) -> Estimate:
    said, there = records["said"], records["there"]
    return f1((said & there).sum(axis=1), said.sum(axis=1), there.sum(axis=1))


def lift(records: Records) -> Lift:
    """Compare F1 with that of the same labels, said as often but of any item."""
    said, there = records["said"], records["there"]
    by_chance = (said * there.mean(axis=0) + there * said.mean(axis=0)).sum(axis=1)
    by_chance = by_chance - (said.mean(axis=0) * there.mean(axis=0)).sum()
    found, chance = _micro(records), f1(by_chance, said.sum(axis=1), there.sum(axis=1))
    return Lift(
        found.value, chance.value, Estimate(found.value - chance.value, found.influence - chance.influence)
    )


METRIC = Metric(
    name="label_f1",
    kind="task",
    tasks=frozenset({MULTI_LABEL}),
    default_for=frozenset({MULTI_LABEL}),
    needs_labels=True,
    aliases=("f1", "f1_micro"),
    prepare=whole,
    observe=observe,
    compare=compare,
    lift=lift,
)
