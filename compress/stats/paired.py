"""How many more items one classifier gets wrong than another on the same items, at most."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from compress.stats.estimate import LEVEL

CORRECTION = 0.25
"""Items by which the statistic is corrected for being discrete. Without it the bound of Tango is below
the truth in up to 6.6% of samples where few items differ; with a quarter of an item in at most 5.0% for
all of 10 to 2,000 items, and accuracy can be shown to be kept with nearly as few items. (Found by summing
the exact probabilities, which the tests repeat.)"""
_STEPS = 60


def paired_upper_bound(lost: np.ndarray, gained: np.ndarray, items: int) -> np.ndarray:
    """One-sided 95% upper bounds of the drop in accuracy, (lost - gained) / items.

    `lost` (...,) counts items that only the reference gets right, `gained` those that only the other
    does. The bound is the largest drop that the score test does not reject (Tango, "Equivalence test
    and confidence interval for the difference in proportions for the paired-sample design", Statistics
    in Medicine 17, 1998), which holds for few items too: with none of ten lost it is .25.
    """
    lost, gained = np.asarray(lost, np.float64), np.asarray(gained, np.float64)
    low, high = (lost - gained) / items, np.ones(np.broadcast(lost, gained).shape)
    threshold = ndtri(1 - LEVEL)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        possible = _score(lost, gained, items, middle) > threshold
        low, high = np.where(possible, middle, low), np.where(possible, high, middle)
    return np.asarray(high)


def _score(lost: np.ndarray, gained: np.ndarray, items: int, drop: np.ndarray) -> np.ndarray:
    """Tango's statistic for the hypothesis that the drop is `drop`: equation 5, with the likeliest
    share of gained items under it from equation 6.
    """
    a = 2 * items
    b = (2 * items - lost + gained) * drop - lost - gained
    c = -gained * drop * (1 - drop)
    share = (np.sqrt(np.maximum(b * b - 4 * a * c, 0)) - b) / (2 * a)
    variance = items * (2 * share + drop * (1 - drop))
    return np.asarray((lost - gained - items * drop + CORRECTION) / np.sqrt(np.maximum(variance, 1e-12)))
