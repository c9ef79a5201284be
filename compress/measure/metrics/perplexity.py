"""Perplexity of masked and causal language models: the text is its own answer.

Of a causal model exp of the mean negative log likelihood of each token given those before it; of a
masked one that of the hidden 15% of tokens given the others. The drop is the relative increase.

A model with another vocabulary is judged by what the same text costs it, in nats, over the number of
tokens that the original makes of that text: so its perplexity is one "per token of the original", and the
ratio of both is that of their bits per character. (Per token of its own, a smaller vocabulary would look
better the more tokens it needs.)
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from compress.measure.decisions import decisions, log_probabilities, summed
from compress.measure.metric import Comparison, Metric
from compress.measure.prepare import by_task
from compress.stats.estimate import upper_bound
from compress.stats.sums import ratio_of_sums

if TYPE_CHECKING:
    from compress.measure.metric import Arrays, Batch, Records

WORST = 50.0
"""Nats that one token may cost at most, so that a broken model has a perplexity that is a number."""


def observe(outputs: Arrays, reference: Arrays, batch: Batch) -> Records:
    """For each window: `nats` (n,) that its tokens cost together, and `tokens` (n,) how many."""
    del reference
    assert batch.scored is not None
    assert batch.targets is not None
    made = decisions(outputs, batch)
    targets = batch.targets[batch.scored]
    nats = np.empty(len(targets))
    for rows, logs in log_probabilities(made.logits):
        nats[rows] = -np.take_along_axis(logs, targets[rows, None], axis=-1)[:, 0]
    nats = np.minimum(nats, WORST)
    items = len(batch.scored)
    return {
        "nats": summed(nats, made.items, items),
        "tokens": summed(np.ones(len(nats)), made.items, items),
    }


def compare(reference: Records, result: Records) -> Comparison:
    """The bound is of the mean difference of log likelihoods over the same text, which differ far less
    than texts do.
    """
    tokens = reference["tokens"]
    before, after = (ratio_of_sums(one["nats"], tokens).value for one in (reference, result))
    more = ratio_of_sums(result["nats"] - reference["nats"], tokens)
    bound = upper_bound(np.array(more.value), more.influence)
    return Comparison(math.exp(before), math.exp(after), math.expm1(more.value), math.expm1(float(bound)))


TASKS = frozenset({"fill-mask", "text-generation"})

METRIC = Metric(
    name="perplexity",
    kind="task",
    tasks=TASKS,
    default_for=TASKS,
    wide=True,
    sums_by_text=True,
    spread=0.06,
    prepare=by_task,
    observe=observe,
    compare=compare,
)
