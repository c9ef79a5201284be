"""What the gate is expected to find on the test part, from what a candidate lost on the choice part.

The margin of a bound shrinks with the root of the number of items. So if the test part shows the drop of the
choice part again, its bound is

    foreseen = drop + margin * sqrt(m / n),    margin = bound - drop on the choice part,

with m items there and n in the test part. Both parts are samples: the drop of either errs by its margin over
z, the normal's 95% quantile, and these errors add up. So the candidate passes a limit with the probability

    chance = Phi((limit - foreseen) / (margin / z * sqrt(1 + m / n))),

the predictive distribution of a mean of n items after one of m under a flat prior (Spiegelhalter, Abrams and
Myles, "Bayesian Approaches to Clinical Trials", 2004, section 6.5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr, ndtri

from compress.stats.estimate import LEVEL

if TYPE_CHECKING:
    from compress.core.report import Accuracy


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """The bound of the drop that the test part is expected to show, and the error of that expectation."""

    bound: float
    error: float

    def chance(self, limit: float) -> float:
        """Return the probability that the test part's bound is within `limit`."""
        if self.error <= 0:
            return float(self.bound <= limit)
        return float(ndtr((limit - self.bound) / self.error))


def forecast(accuracy: Accuracy, *, share: float) -> Forecast:
    """Foresee the gate's bound.

    Args:
        accuracy: What a candidate reached on the choice part.
        share: The items of the choice part over those of the test part, m / n.

    Returns:
        The forecast; `Forecast.error` is zero where nothing can vary.
    """
    margin = max(accuracy.drop_upper_95 - accuracy.drop, 0.0)
    return Forecast(
        bound=accuracy.drop + margin * float(np.sqrt(share)),
        error=margin / float(ndtri(LEVEL)) * float(np.sqrt(1 + share)),
    )
