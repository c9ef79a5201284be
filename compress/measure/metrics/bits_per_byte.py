"""Bits per byte of causal language models: perplexity for models whose tokens differ.

A token of a large vocabulary is longer and harder to guess than one of a small vocabulary, so that
perplexities per token say nothing about which of two models is better. The bits that a text costs by the
length of the text in bytes do (Gao et al., "The Pile: an 800GB dataset of diverse text for language
modeling", 2020, section 3.1). The drop is the relative increase.
"""

from __future__ import annotations

import math
import zlib
from typing import TYPE_CHECKING

import numpy as np

from compress.measure.metric import Comparison, Metric
from compress.measure.metrics import perplexity
from compress.measure.prepare import by_task
from compress.stats.estimate import upper_bound
from compress.stats.sums import ratio_of_sums

if TYPE_CHECKING:
    from compress.measure.metric import Arrays, Batch, Records


def observe(outputs: Arrays, reference: Arrays, batch: Batch) -> Records:
    """For each window the `nats` (n,) that it costs, and which text it is of: a checksum `text` (n,) and
    the text's `bytes` (n,).
    """
    texts = [str(batch.rows[row]["text"]).encode() for row in batch.owners]
    return {
        "nats": perplexity.observe(outputs, reference, batch)["nats"],
        "text": np.array([zlib.crc32(text) for text in texts], np.int64),
        "bytes": np.array([len(text) for text in texts], np.float64),
    }


def compare(reference: Records, result: Records) -> Comparison:
    """Over the same texts, however each model cuts them into tokens and windows."""
    before, size = _by_text(reference)
    after, _ = _by_text(result)
    more = ratio_of_sums(after, before)
    bound = float(upper_bound(np.array(more.value), more.influence))
    bits = [nats.sum() / math.log(2) / size.sum() for nats in (before, after)]
    return Comparison(float(bits[0]), float(bits[1]), more.value - 1, bound - 1)


def _by_text(records: Records) -> tuple[np.ndarray, np.ndarray]:
    """Nats (texts,) and bytes (texts,) of each text, in the order of the checksums."""
    _, first, owners = np.unique(records["text"], return_index=True, return_inverse=True)
    return np.bincount(owners, weights=records["nats"]), records["bytes"][first]


METRIC = Metric(
    name="bits_per_byte",
    kind="task",
    tasks=frozenset({"text-generation"}),
    wide=True,
    spread=0.06,
    prepare=by_task,
    observe=observe,
    compare=compare,
)
