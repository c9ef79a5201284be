"""Accuracy: the share of items whose likeliest class is the right one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from compress.measure.metric import Comparison, Metric
from compress.measure.prepare import whole
from compress.runtime.outputs import logits_of
from compress.stats.chance import agreement
from compress.stats.paired import paired_upper_bound

if TYPE_CHECKING:
    from compress.measure.metric import Arrays, Batch, Records
    from compress.stats.chance import Lift


def observe(outputs: Arrays, reference: Arrays, batch: Batch) -> Records:
    """`right` (n,): 1 where the class is right; `label` and `predicted` (n,) class numbers, and in `classes`
    (n,) how many there are.
    """
    found = decided(outputs, reference, batch)
    return {"right": (found["predicted"] == found["label"]).astype(np.int64), **found}


def decided(outputs: Arrays, reference: Arrays, batch: Batch) -> Records:
    """Record `label` and `predicted` (n,) class numbers, and in `classes` (n,) how many there are."""
    del reference
    logits = logits_of(outputs)
    return {
        "label": np.array([row["label"] for row in batch.rows]),
        "predicted": logits.argmax(axis=-1),
        "classes": np.full(len(logits), logits.shape[-1]),
    }


def lift(records: Records) -> Lift:
    """Compare accuracy with the agreement by chance."""
    return agreement(records["predicted"], records["label"], classes=int(records["classes"][0]))


def compare(reference: Records, result: Records) -> Comparison:
    """By the paired score bound: only the items on which both differ tell anything."""
    before, after = reference["right"], result["right"]
    lost, gained = int(np.sum(before > after)), int(np.sum(before < after))
    bound = paired_upper_bound(np.array(lost), np.array(gained), len(after))
    drop = (lost - gained) / len(after)
    return Comparison(float(before.mean()), float(after.mean()), drop, float(bound))


CLASSIFICATION = frozenset({"text-classification", "image-classification", "audio-classification"})

METRIC = Metric(
    name="accuracy",
    kind="task",
    tasks=CLASSIFICATION,
    default_for=CLASSIFICATION,
    needs_labels=True,
    unit=1.0,
    prepare=whole,
    observe=observe,
    compare=compare,
    lift=lift,
)
