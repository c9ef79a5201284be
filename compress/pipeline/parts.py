"""How many items each part of the data gets, from what the accuracy budget needs.

The test part's margin is z * spread / sqrt(n), where `spread` is the standard deviation of one item's paired
change that compressed models typically show (`Metric.spread`). It is as large as makes the margin half of the
budget, so that a candidate that lost less than the other half passes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from compress.core.allowance import ERRORS, RELATIVE, allowed_drop
from compress.core.errors import Inconclusive
from compress.data.split import calibration_size
from compress.pipeline.gate import MIN_ITEMS
from compress.stats.estimate import LEVEL
from compress.stats.paired import paired_upper_bound

if TYPE_CHECKING:
    from compress.core.units import MaxDrop
    from compress.measure.metric import Metric

MARGIN = 0.5
"""Share of the accuracy budget that the margin of the test part's bound may take."""
LEAST_TEST = 4 * MIN_ITEMS
"""Items of a test part at least, however little a metric varies."""
LEAST_CHOICE = 256
_SMALLEST_BUDGET = 1e-5
_FAIR_ERROR_RATE, _FAIR_PERPLEXITY = 0.1, 20.0
"""Baselines by which a share of an error rate, or points of a perplexity, are turned into a drop before any
baseline was measured."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Items to learn from (0: those to choose on calibrate too), and to choose on; the others test."""

    learn: int
    choice: int


def sizes(items: int, *, needed: int, learns: bool, given: bool) -> Sizes:
    """Part the items.

    Args:
        items: How many there are.
        needed: Test items that the budget needs (`test_items`).
        learns: Whether a candidate's weights are fitted to calibration rows: these may not choose it.
        given: Whether the user gave other text to calibrate on.

    Returns:
        Sizes of the parts. Three quarters test where that is less than `needed`.
    """
    default = calibration_size(items)
    if not learns:
        return Sizes(learn=0, choice=default)
    test = min(needed, items - max(items // 4, 1))
    rest = items - test
    choice = max(LEAST_CHOICE, needed if given else needed // 2)
    choice = min(choice, rest if given else (rest + 1) // 2)
    return Sizes(learn=rest - choice, choice=choice)


def test_items(metric: Metric, budget: MaxDrop) -> int:
    """Return the test items with which a drop of half of the budget is likely shown to be within it."""
    margin = MARGIN * max(_expected_limit(metric, budget), _SMALLEST_BUDGET)
    return max(LEAST_TEST, math.ceil((float(ndtri(LEVEL)) * metric.spread / margin) ** 2))


def _expected_limit(metric: Metric, budget: MaxDrop) -> float:
    baseline = {True: _FAIR_PERPLEXITY}.get(metric.name in RELATIVE, 1.0)
    baseline = _FAIR_ERROR_RATE if metric.name in ERRORS else baseline
    return allowed_drop(budget, metric=metric.name, baseline=baseline)


def least_items(metric: Metric, budget: MaxDrop) -> int:
    """Return the test items without which no candidate can pass, even one that changed no answer."""
    if metric.name in RELATIVE or metric.name in ERRORS or not metric.unit:
        return MIN_ITEMS
    limit = allowed_drop(budget, metric=metric.name, baseline=1.0)
    counts = np.unique(np.geomspace(MIN_ITEMS, 10**6, 400).astype(int))
    zero = np.zeros(1)
    return next(
        (int(n) for n in counts if metric.unit * paired_upper_bound(zero, zero, int(n))[0] <= limit), 10**6
    )


def refuse_too_few(test: int, *, total: int, metric: Metric, budget: MaxDrop) -> None:
    """Refuse data on which no candidate can pass the accuracy budget.

    Args:
        test: Items of the test part.
        total: Items of all parts.
        metric: The metric that is judged.
        budget: The accuracy budget.

    Raises:
        Inconclusive: there are too few; the hint says how many are needed.
    """
    needed = least_items(metric, budget)
    if test >= needed or metric.wide:  # whose items are windows of text, of which a row has many
        return
    message = (
        f"{test:,} test items of {total:,} cannot show that {metric.name} drops by at most {budget.text}, "
        f"even if no answer changes: {needed:,} test items are needed"
    )
    items = math.ceil(needed * total / test)
    raise Inconclusive("data-too-few", message, hint=f"give about {items:,} items, or a larger --max-drop")
