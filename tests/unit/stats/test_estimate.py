from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from compress.stats.estimate import Estimate, drop_bound, upper_bound


def bounds_of_means(values, unit=0.0):
    means = values.mean(axis=-1)
    return upper_bound(means, values - means[:, None], unit=unit)


@pytest.mark.parametrize(
    ("draw", "truth"),
    [
        (lambda random, shape: random.normal(size=shape), 0.0),
        (lambda random, shape: random.exponential(size=shape), 1.0),
        (lambda random, shape: random.lognormal(0, 0.5, shape), np.exp(0.125)),
        (lambda random, shape: random.standard_t(4, size=shape), 0.0),
    ],
    ids=["normal", "exponential", "lognormal", "heavy tails"],
)
@pytest.mark.parametrize("items", [100, 400])
def test_bound_is_below_the_truth_in_about_five_percent(draw, truth, items):
    random = np.random.default_rng(0)
    missed = np.mean(bounds_of_means(draw(random, (10_000, items))) < truth)
    assert 0.02 < missed <= 0.054


@pytest.mark.parametrize(
    ("items", "drop", "gained"),
    [(50, 0.05, 0.0), (300, 0.0095, 0.0), (300, 0.02, 0.0), (300, 0.0095, 0.002), (500, 0.01, 0.01)],
)
def test_bound_holds_where_few_items_change(items, drop, gained):
    random = np.random.default_rng(1)
    drawn = random.random((10_000, items))
    changes = (drawn < drop + gained).astype(float) - (drawn > 1 - gained)
    assert np.mean(bounds_of_means(changes, unit=1.0) < drop) <= 0.054


def test_bound_agrees_with_the_bootstrap():
    values = np.random.default_rng(2).gamma(2.0, size=400)
    found = upper_bound(values.mean(), values - values.mean())
    other = stats.bootstrap((values,), np.mean, confidence_level=0.9, method="BCa", rng=0)
    assert found == pytest.approx(other.confidence_interval.high, abs=0.02)
    assert found > values.mean() + 1.6 * values.std() / 20


def test_skewness_to_the_left_never_lowers_the_bound():
    values = np.random.default_rng(3).exponential(size=100)
    influence = values.mean() - values
    symmetric = np.concatenate([influence, -influence]) / np.sqrt(2)
    assert upper_bound(np.array(0.0), influence) >= 0.95 * np.sqrt(2) * upper_bound(np.array(0.0), symmetric)


def test_no_change_is_no_proof_with_few_items():
    nothing = np.zeros(10)
    assert upper_bound(np.array(0.0), nothing, unit=1.0) > 0.25
    assert upper_bound(np.array(0.0), np.zeros(1000), unit=1.0) == pytest.approx(0.003, rel=0.02)
    assert upper_bound(np.array(0.0), nothing) == 0


def test_what_two_statistics_share_does_not_widen_the_bound():
    random = np.random.default_rng(4)
    common, own = random.normal(size=500), 0.01 * random.normal(size=500)
    before, after = (Estimate(one.mean(), one - one.mean()) for one in (common, common + own))
    assert abs(drop_bound(before, after) - (before.value - after.value)) < 0.001
