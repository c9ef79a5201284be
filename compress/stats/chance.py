"""How far a score is above what chance gives."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from compress.stats.estimate import Estimate, upper_bound

MARGIN = 0.1
"""A score that may be so far above chance, by its interval, is not known to be at chance."""

Verdict = Literal["above", "at", "below", "unknown"]


class Lift(NamedTuple):
    """A score, what chance gives, and how far the score is above that (positive: better)."""

    score: float
    chance: float
    above: Estimate

    @property
    def interval(self) -> tuple[float, float]:
        """One-sided 95% bounds of the distance to chance, where one changed item costs one."""
        value, influence = np.array(self.above.value), self.above.influence
        low = -float(upper_bound(-value, -influence, unit=1.0))
        return low, float(upper_bound(value, influence, unit=1.0))

    @property
    def verdict(self) -> Verdict:
        """Where the interval lies; `unknown` where too few items leave it too wide to say."""
        low, high = self.interval
        if low > 0:
            return "above"
        if high < 0:
            return "below"
        return "at" if high <= MARGIN else "unknown"


def agreement(predicted: np.ndarray, labels: np.ndarray, *, classes: int) -> Lift:
    """Compare the share of items whose prediction is the label with that of unrelated predictions.

    Chance is sum_k p_k q_k, with the shares p of labels and q of predictions (Cohen, "A coefficient of
    agreement for nominal scales", Educational and Psychological Measurement 20, 1960), so that a model
    which says the commonest class of skewed data everywhere is at chance, and one that finds the rare
    class is above. Where all labels are the same it is 1 / `classes`.

    Args:
        predicted: int (n,).
        labels: int (n,).
        classes: How many classes there are.
    """
    right = (predicted == labels).astype(np.float64)
    accuracy = float(right.mean())
    if len(np.unique(labels)) == 1:
        chance = 1 / max(classes, 2)
        return Lift(accuracy, chance, Estimate(accuracy - chance, right - accuracy))
    size = int(max(predicted.max(), labels.max())) + 1
    said, there = (np.bincount(values, minlength=size) / len(values) for values in (predicted, labels))
    chance = float(said @ there)
    influence = right - accuracy - (said[labels] + there[predicted] - 2 * chance)
    return Lift(accuracy, chance, Estimate(accuracy - chance, influence))


def above_zero(estimate: Estimate) -> Lift:
    """Take a score of which chance gives nothing: a correlation, say."""
    return Lift(estimate.value, 0.0, estimate)
