"""Spearman's rank correlation and the influence of each pair on it."""

from __future__ import annotations

import numpy as np

from compress.stats.estimate import Estimate


def spearman(left: np.ndarray, right: np.ndarray) -> Estimate:
    """The rank correlation of two rows of numbers (n,), ties sharing their mean rank.

    It is the correlation of U = F(x) and V = G(y), with mid-distribution functions F and G. An item
    adds its own product, and moves the ranks of the others, which is the second part of its influence
    (Croux and Dehon, "Influence functions of the Spearman and Kendall correlation measures",
    Statistical Methods and Applications 19, 2010, extended here to ties). 0 where either is constant.
    """
    u, v = _centred_ranks(left), _centred_ranks(right)
    both, first, second = (_moment(u, v, left, right), _moment(u, u, left, left), _moment(v, v, right, right))
    if first.value <= 0 or second.value <= 0:
        return Estimate(0.0, np.zeros(len(u)))
    value = both.value / np.sqrt(first.value * second.value)
    spread = first.influence / first.value + second.influence / second.value
    influence = both.influence / np.sqrt(first.value * second.value) - value / 2 * spread
    return Estimate(float(value), influence)


def _centred_ranks(values: np.ndarray) -> np.ndarray:
    """F(x) - 1/2, the mid-distribution function at each value: in (-1/2, 1/2), with mean zero."""
    ordered = np.sort(values)
    below, upto = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    return np.asarray((below + upto) / (2 * len(values)) - 0.5)


def _moment(u: np.ndarray, v: np.ndarray, left: np.ndarray, right: np.ndarray) -> Estimate:
    """E[U V] and its influences: those of the item itself and, through both ranks, of all others."""
    value = float(np.mean(u * v))
    through = _mean_above(left, v) + _mean_above(right, u)
    return Estimate(value, u * v + through - 3 * value)


def _mean_above(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """For each value the mean over all items of weights * K, where K is 1 for items whose value is
    larger, 1/2 for equal ones and 0 for smaller ones.
    """
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    sums = np.concatenate([[0.0], np.cumsum(weights[order])])
    below, upto = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    return np.asarray((sums[-1] - (sums[below] + sums[upto]) / 2) / len(values))
