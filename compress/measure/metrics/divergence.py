"""Fidelity of probabilities: exp(-KL), where KL is the mean divergence from the original's.

exp(KL) is the ratio of the perplexities that both models have on text drawn from the original, so a
budget of 1% bounds that ratio.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from compress.measure.decisions import both, log_probabilities, summed
from compress.measure.metric import Comparison, Metric
from compress.measure.metrics import expected_accuracy, perplexity
from compress.measure.prepare import by_task
from compress.stats.estimate import upper_bound
from compress.stats.sums import ratio_of_sums

if TYPE_CHECKING:
    from compress.measure.metric import Arrays, Batch, Records


def observe(outputs: Arrays, reference: Arrays, batch: Batch) -> Records:
    """Per item (n,) the sum of KL(original, own) over its decisions in `nats`, and how many they are."""
    own, original = both(outputs, reference, batch)
    nats = np.zeros(len(own.logits))
    pairs = zip(log_probabilities(original.logits), log_probabilities(own.logits), strict=True)
    for (rows, first), (_, second) in pairs:
        nats[rows] = np.sum(np.exp(first) * (first - second), axis=-1)
    items = len(batch.rows) if batch.scored is None else len(batch.scored)
    return {
        "nats": summed(np.clip(nats, 0, perplexity.WORST), own.items, items),
        "decisions": summed(np.ones(len(nats)), own.items, items),
    }


def compare(reference: Records, result: Records) -> Comparison:
    """By influences on the mean divergence."""
    del reference
    mean = ratio_of_sums(result["nats"], result["decisions"])
    bound = float(upper_bound(np.array(mean.value), mean.influence))
    return Comparison(1.0, math.exp(-mean.value), -math.expm1(-mean.value), -math.expm1(-bound))


METRIC = Metric(
    name="divergence",
    kind="fidelity",
    tasks=expected_accuracy.TASKS | perplexity.TASKS,
    default_for=perplexity.TASKS,
    aliases=("kl",),
    wide=True,
    spread=0.05,
    prepare=by_task,
    observe=observe,
    compare=compare,
)
