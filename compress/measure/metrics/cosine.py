"""Fidelity of embeddings as the mean cosine with the original's.

Good 8-bit models have .98 to .99 while tasks lose some .2%, so 1% is a hard budget here; see
`similarity_rank` for what retrieval and clustering use of embeddings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from compress.measure.metric import Comparison, Metric, comparison
from compress.measure.prepare import whole
from compress.stats.estimate import Estimate
from compress.stats.sums import mean

if TYPE_CHECKING:
    from compress.measure.metric import Arrays, Batch, Records


def observe(outputs: Arrays, reference: Arrays, batch: Batch) -> Records:
    """`cosine` (n,)."""
    embed, first = batch.tools.head.apply, batch.original or batch
    own = embed(outputs, batch.feeds, normalize=True)
    original = embed(reference, first.feeds, normalize=True)
    return {"cosine": (own.astype(np.float64) * original).sum(axis=-1)}


def compare(reference: Records, result: Records) -> Comparison:
    """By influences of the mean."""
    del reference
    return comparison(Estimate(1.0, np.zeros(len(result["cosine"]))), mean(result["cosine"]))


METRIC = Metric(
    name="cosine",
    kind="fidelity",
    tasks=frozenset({"feature-extraction"}),
    spread=0.05,
    prepare=whole,
    observe=observe,
    compare=compare,
)
