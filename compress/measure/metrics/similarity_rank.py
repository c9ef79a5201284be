"""Fidelity of embeddings: the rank correlation of similarities between items with the original's.

Each item is compared with its nearest neighbour and with one other item, so that half of the pairs are
related and half are not, as in the tasks that embeddings are used for. (Among random pairs alone
similarities spread so little that noise no task would notice reorders them.) On such pairs 1 - rank
correlation is as large as the share of Spearman's correlation with people's judgement that is lost,
or up to three times larger, so a budget of 1% is on the safe side: MiniLM in int8 has .997 to .999 (STS
-.2%), in int4 .992 to .996 (STS unchanged), with noise that costs .8% of STS .973 to .987, with 4% .914 to
.968. The mean cosine says little: .993, .970, .862, .714.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from compress.measure.metric import Comparison, Metric, comparison
from compress.measure.prepare import whole
from compress.stats.estimate import Estimate
from compress.stats.rank import spearman

if TYPE_CHECKING:
    from compress.measure.metric import Arrays, Batch, Records

_POOL = 2048
"""Items among which nearest neighbours are looked for."""


def observe(outputs: Arrays, reference: Arrays, batch: Batch) -> Records:
    """`vector` (n, D), of length one."""
    del reference
    return {"vector": batch.tools.head.apply(outputs, batch.feeds, normalize=True)}


def compare(reference: Records, result: Records) -> Comparison:
    """By influences. A pair's counts for both of its items, as pairs that share one move together
    (dyadic clustering: Fafchamps and Gubert, Journal of Development Economics 83, 2007).
    """
    before, after = reference["vector"], result["vector"]
    items = len(before)
    left, right = related_and_not(before)
    correlation = spearman(_similarity(before, left, right), _similarity(after, left, right))
    weights = np.tile(correlation.influence, 2)
    of_items = np.bincount(np.concatenate([left, right]), weights=weights, minlength=items)
    influence = of_items * items / max(len(left), 1)
    return comparison(Estimate(1.0, np.zeros(items)), Estimate(correlation.value, influence))


def related_and_not(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of items (left, right), each unordered pair once: every item with its nearest neighbour, and
    with one that is drawn at random (the same at every call).
    """
    items = len(vectors)
    if items < 2:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    own = np.arange(items)
    step = np.random.default_rng(0).integers(1, items, size=items)
    partners = np.concatenate([_nearest(vectors), (own + step) % items])
    pairs = np.sort(np.stack([np.tile(own, 2), partners], axis=1), axis=1)
    left, right = np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0).T
    return left, right


def _nearest(vectors: np.ndarray) -> np.ndarray:
    """The number of each item's nearest neighbour among those in its pool (itself if it is alone)."""
    nearest = np.arange(len(vectors))
    for start in range(0, len(vectors), _POOL):
        part = vectors[start : start + _POOL]
        similarity = part @ part.T
        np.fill_diagonal(similarity, -np.inf)
        nearest[start : start + len(part)] = start + similarity.argmax(axis=1)
    return nearest


def _similarity(vectors: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.asarray(np.einsum("nd,nd->n", vectors[left], vectors[right], dtype=np.float64))


METRIC = Metric(
    name="similarity_rank",
    kind="fidelity",
    tasks=frozenset({"feature-extraction"}),
    default_for=frozenset({"feature-extraction"}),
    aliases=("rank",),
    alone=True,
    spread=0.05,
    prepare=whole,
    observe=observe,
    compare=compare,
)
