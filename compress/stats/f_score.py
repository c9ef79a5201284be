"""The F1 score from counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from compress.stats.estimate import Estimate

if TYPE_CHECKING:
    from collections.abc import Sequence


def f1(hits: np.ndarray, predicted: np.ndarray, actual: np.ndarray) -> Estimate:
    """2 sum(hits) / (sum(predicted) + sum(actual)) of counts (n,), one an item.

    0 where nothing is predicted and nothing is there. An item's influence is the derivative of the
    score by its weight: (2 hits - f1 (predicted + actual)) / mean(predicted + actual).
    """
    twice, total = 2.0 * hits, np.asarray(predicted + actual, np.float64)
    if total.sum() == 0:
        return Estimate(0.0, np.zeros(len(total)))
    value = float(twice.sum() / total.sum())
    return Estimate(value, (twice - value * total) / total.mean())


def average(estimates: Sequence[Estimate]) -> Estimate:
    """The plain mean of several statistics of the same items (macro average)."""
    influence = np.mean([estimate.influence for estimate in estimates], axis=0)
    return Estimate(float(np.mean([estimate.value for estimate in estimates])), influence)
