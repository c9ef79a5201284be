from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar
from scipy.special import gammaln
from scipy.stats import norm

from compress.stats.paired import CORRECTION, paired_upper_bound


def likeliest_share(lost, gained, items, drop):
    """The share of gained items that fits best if the drop is `drop`, by searching the likelihood."""

    def loss(share):
        same = 1 - 2 * share - drop
        terms = ((lost, share + drop), (gained, share), (items - lost - gained, same))
        return -sum(count * np.log(chance) for count, chance in terms if count)

    return minimize_scalar(loss, bounds=(1e-12, (1 - drop) / 2 - 1e-12), options={"xatol": 1e-12}).x


def searched_bound(lost, gained, items):
    """The bound from Tango's definition, without the closed form of his equation 6."""

    def excess(drop):
        share = likeliest_share(lost, gained, items, drop)
        variance = items * (2 * share + drop * (1 - drop))
        return (lost - gained - items * drop + CORRECTION) / np.sqrt(variance) - norm.ppf(0.05)

    return brentq(excess, max((lost - gained) / items, 0) + 1e-9, 1 - 1e-6)


@pytest.mark.parametrize(("lost", "gained", "items"), [(0, 0, 40), (5, 2, 60), (12, 12, 400), (31, 8, 900)])
def test_bound_is_the_largest_drop_that_the_score_test_allows(lost, gained, items):
    found = paired_upper_bound(np.array(lost), np.array(gained), items)
    assert found == pytest.approx(searched_bound(lost, gained, items), abs=1e-4)


def chance_of_missing(items, drop, gained_share):
    """The exact probability that the bound is below the true drop, over all outcomes."""
    lost_share = drop + gained_share
    most = int(min(items, items * lost_share + 9 * np.sqrt(items * lost_share) + 15))
    lost, gained = np.arange(most + 1.0)[:, None], np.arange(most + 1.0)[None, :]
    same = items - lost - gained
    logs = gammaln(items + 1) - gammaln(lost + 1) - gammaln(gained + 1) - gammaln(np.maximum(same, 0) + 1)
    logs = logs + lost * np.log(lost_share) + same * np.log1p(-lost_share - gained_share)
    logs = logs + (gained * np.log(gained_share) if gained_share else np.where(gained > 0, -np.inf, 0))
    chances = np.where(same >= 0, np.exp(logs), 0)
    bounds = paired_upper_bound(np.where(same >= 0, lost, 0), np.where(same >= 0, gained, 0), items)
    assert chances.sum() == pytest.approx(1, abs=1e-6)
    return float((chances * (bounds < drop)).sum())


@pytest.mark.parametrize("items", [10, 31, 59, 100, 251, 300, 332, 500, 1000])
def test_bound_is_below_the_truth_in_at_most_five_percent(items):
    drops, shares = (0.003, 0.006, 0.009, 0.02, 0.05), (0.0, 0.002, 0.01, 0.03)
    assert max(chance_of_missing(items, drop, share) for drop in drops for share in shares) <= 0.0501


def test_few_items_without_a_change_say_little():
    assert paired_upper_bound(np.array(0), np.array(0), 10) > 0.2
    assert 0.002 < paired_upper_bound(np.array(0), np.array(0), 1000) < 0.004


def test_bounds_of_many_pairs_are_those_of_each():
    lost, gained = np.array([0, 3, 9, 40]), np.array([1, 3, 2, 0])
    each = [float(paired_upper_bound(one, other, 40)) for one, other in zip(lost, gained, strict=True)]
    assert paired_upper_bound(lost, gained, 40) == pytest.approx(each)
    assert each[-1] <= 1
