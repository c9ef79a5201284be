"""A statistic of many items with the influence of each on it, and what it is at most.

Why influences and no bootstrap: metrics are smooth functions of means over items, so their variance is
that of the mean influence (the infinitesimal jackknife). That costs one pass where a bootstrap costs
thousands, has no seed, and leaves the skewness, which a gate must not ignore, in plain sight.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

LEVEL = 0.95
UNSEEN = 1.3
"""Changed items that each of two pseudo-items stands for: so that where none of n changed, the bound is
3 / n of them (the rule of three: Hanley and Lippman-Hand, JAMA 249, 1983)."""


class Estimate(NamedTuple):
    """A statistic and its influence values (n,), one an item, with mean zero (Hampel 1974)."""

    value: float
    influence: np.ndarray


def upper_bound(estimate: np.ndarray, influence: np.ndarray, *, unit: float = 0.0) -> np.ndarray:
    """One-sided 95% upper bounds of statistics (...,) with influences (..., n).

    Student's bound is too low where influences are skewed to the right, as losses are: few items lose
    much. So it is corrected by Hall's transformation (Hall, "On the removal of skewness by
    transformation", JRSS B 54, 1992), never downward. Nor do the items seen show how much one unseen
    may lose: two pseudo-items are added, which lose and gain as much as the item that changed most, and
    at least somewhat more than `unit`, what one changed item costs (after Agresti and Min, "Effects and
    non-effects of paired identical observations", Statistics in Medicine 24, 2005). So the bound of ten
    items without any change is far from zero.
    """
    widest = np.maximum(np.abs(influence).max(axis=-1), UNSEEN * unit)[..., None]
    values = np.concatenate([influence, widest, -widest], axis=-1)
    count = values.shape[-1]
    variance = (values**2).sum(axis=-1) / (count - 1)
    low = _hall(_skewness(values, variance) / np.sqrt(count), count)
    return np.asarray(estimate - low * np.sqrt(variance / count))


def _skewness(values: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Of values with mean zero (..., n): never below zero, and zero where nothing varies."""
    third = (values**3).mean(axis=-1)
    scale = np.where(variance > 0, variance, 1.0) ** 1.5
    return np.asarray(np.maximum(third / scale, 0.0))


def _hall(slant: np.ndarray, count: int) -> np.ndarray:
    """The 5% quantile of (estimate - truth) / error by Hall's equation 2.3, inverted. `slant` is the
    skewness over the root of `count`; it tends to Student's quantile as that tends to zero.
    """
    quantile = float(stdtrit(count - 1, 1 - LEVEL))
    safe = np.where(slant > 1e-8, slant, 1.0)
    curved = 3 / safe * (np.cbrt(1 + safe * (quantile - safe / 6)) - 1)
    return np.where(slant > 1e-8, curved, quantile)


def drop_bound(reference: Estimate, result: Estimate, *, unit: float = 0.0) -> float:
    """How much lower `result` is than `reference` over the same items at most."""
    drop = np.array(reference.value - result.value)
    return float(upper_bound(drop, reference.influence - result.influence, unit=unit))
