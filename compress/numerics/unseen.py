"""How probable what was never seen is, by Good and Turing (Good 1953, Biometrika 40).

Of N draws, those that were the only ones of their kind estimate what the next draw would bring anew: with n1
kinds seen once, its share is n1 / N. Within a group of kinds that are alike it is divided evenly.
"""

from __future__ import annotations

import numpy as np


def probabilities(counts: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The probability of each kind in the next draw, float64 (V,), of sum 1, by `counts` int64 (V,) of what
    was drawn and `groups` int64 (V,), the number of a group that each kind is in.
    """
    found = counts.astype(np.float64)
    for group in np.unique(groups):
        members = groups == group
        unseen, once = members & (counts == 0), members & (counts == 1)
        if unseen.any():
            found[unseen] = once.sum() / unseen.sum()
    return np.asarray(found / max(found.sum(), 1e-9))


def spared(weights: np.ndarray, costs: np.ndarray, share: float) -> np.ndarray:
    """Which kinds can go, bool (V,): of those whose loss costs least (`costs`, (V,)), as many as together
    have at most `share` of the weight.
    """
    order = np.argsort(costs, kind="stable")
    gone = np.cumsum(weights[order]) <= share * weights.sum()
    found = np.zeros(len(weights), dtype=bool)
    found[order[gone]] = True
    return found
