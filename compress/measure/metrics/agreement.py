"""Fidelity as the share of decisions that are the original's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from compress.measure.decisions import both, summed
from compress.measure.metric import Comparison, Metric, comparison
from compress.measure.metrics.expected_accuracy import TASKS
from compress.measure.prepare import by_task
from compress.stats.estimate import Estimate
from compress.stats.paired import paired_upper_bound
from compress.stats.sums import ratio_of_sums

if TYPE_CHECKING:
    from compress.measure.metric import Arrays, Batch, Records


def observe(outputs: Arrays, reference: Arrays, batch: Batch) -> Records:
    """Per item (n,) how many decisions are the `same`, and of how many (`decisions`)."""
    own, original = both(outputs, reference, batch)
    same = own.logits.argmax(axis=-1) == original.logits.argmax(axis=-1)
    items = len(batch.rows)
    return {
        "same": summed(same.astype(np.float64), own.items, items),
        "decisions": summed(np.ones(len(same)), own.items, items),
    }


def compare(reference: Records, result: Records) -> Comparison:
    """By the score bound where items are decided once, else by influences of items."""
    del reference
    same, count = result["same"], result["decisions"]
    if np.all(count == 1):
        changed = len(same) - int(same.sum())
        bound = paired_upper_bound(np.array(changed), np.array(0), len(same))
        return Comparison(1.0, 1 - changed / len(same), changed / len(same), float(bound))
    original = Estimate(1.0, np.zeros(len(same)))
    return comparison(original, ratio_of_sums(same, count), unit=1 / float(count.mean()))


METRIC = Metric(
    name="agreement",
    kind="fidelity",
    tasks=TASKS,
    prepare=by_task,
    observe=observe,
    compare=compare,
)
