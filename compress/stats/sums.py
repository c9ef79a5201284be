"""Means, and ratios of two sums, over items."""

from __future__ import annotations

import numpy as np

from compress.core.errors import CompressError
from compress.stats.estimate import Estimate


def mean(values: np.ndarray) -> Estimate:
    """The mean of values (n,)."""
    values = np.asarray(values, np.float64)
    return Estimate(float(values.mean()), values - values.mean())


def ratio_of_sums(parts: np.ndarray, wholes: np.ndarray) -> Estimate:
    """sum(parts) / sum(wholes), both (n,), such as errors per word: items with more words count more.

    The influence of an item is (part - ratio * whole) / mean(whole) (Cochran, "Sampling Techniques",
    equation 6.13).

    Raises:
        CompressError: the wholes sum to zero, so that there is nothing to take a share of.
    """
    parts, wholes = np.asarray(parts, np.float64), np.asarray(wholes, np.float64)
    if wholes.sum() == 0:
        message = "no item has anything to judge: no word, no token"
        raise CompressError("data-empty", message, hint="check the data's columns")
    value = float(parts.sum() / wholes.sum())
    return Estimate(value, (parts - value * wholes) / wholes.mean())
