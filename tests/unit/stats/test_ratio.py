from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from compress.stats.ratio import FEWEST, critical_rank, dependence, speedup


@pytest.mark.parametrize("rounds", range(FEWEST, 13))
def test_critical_rank_against_all_signs(rounds):
    """The signed rank statistic under every assignment of signs."""
    sums = [
        sum(rank for rank, sign in enumerate(signs, 1) if sign) for signs in product((0, 1), repeat=rounds)
    ]
    share = np.bincount(sums).cumsum() / 2**rounds
    assert share[critical_rank(rounds)] <= 0.025 < share[critical_rank(rounds) + 1]


def test_critical_rank_against_printed_tables():
    """Two-sided 5% in Wilcoxon and Wilcox's table."""
    assert [critical_rank(n) for n in (6, 7, 8, 9, 10, 15, 20, 25)] == [0, 2, 3, 5, 8, 25, 52, 89]


def test_the_interval_is_what_the_test_does_not_reject():
    rng = np.random.default_rng(3)
    baseline, result = rng.lognormal(0.5, 0.1, 15), rng.lognormal(0, 0.1, 15)
    found = speedup(baseline, result)
    logs = np.log(baseline / result)
    assert dependence(logs) == 1
    for factor, accepted in ((0.999, False), (1.001, True)):
        p = stats.wilcoxon(logs - np.log(found.low * factor), method="exact").pvalue
        assert (p > 0.05) == accepted
    for factor, accepted in ((1.001, False), (0.999, True)):
        p = stats.wilcoxon(logs - np.log(found.high * factor), method="exact").pvalue
        assert (p > 0.05) == accepted


@pytest.mark.parametrize("rounds", [2, 4, 6, 7, 12, 30])
def test_the_same_thing_twice_covers_one(rounds):
    """Heavy-tailed noise on top of a drift that both share: 95% of the intervals must hold 1."""
    rng = np.random.default_rng(rounds)
    trials, held = 1500, 0
    for _ in range(trials):
        drift = rng.normal(0, 0.3, rounds).cumsum()
        a, b = np.exp(drift + 0.05 * rng.standard_t(3, (2, rounds)))
        found = speedup(a, b)
        held += found.low <= 1 <= found.high
    assert held / trials > 0.95 - 3 * np.sqrt(0.05 * 0.95 / trials)


def test_a_true_speedup_is_found_among_outliers():
    rng = np.random.default_rng(0)
    baseline = 2.0 * np.exp(rng.normal(0, 0.02, 21))
    result = np.exp(rng.normal(0, 0.02, 21))
    result[:2] *= 10
    baseline[3:5] *= 10
    found = speedup(baseline, result)
    assert found.low < 2 < found.high
    assert found.value == pytest.approx(2, rel=0.03)


times = st.lists(st.floats(1e-6, 1e3), min_size=2, max_size=20)


@given(times, st.floats(1e-3, 1e3))
def test_units_do_not_matter_and_swapping_inverts(values, unit):
    a = np.array(values)
    b = a[::-1].copy()
    found, scaled, swapped = speedup(a, b), speedup(a * unit, b * unit), speedup(b, a)
    assert found.low <= found.value <= found.high
    assert np.allclose(found, scaled, rtol=1e-6)
    assert np.allclose([swapped.value, swapped.high, swapped.low], [1 / one for one in found], rtol=1e-6)


@pytest.mark.parametrize(("a", "b"), [([1.0], [1.0]), ([1.0, 2.0], [1.0])])
def test_rows_that_do_not_pair_are_refused(a, b):
    with pytest.raises(ValueError, match="two equal rows"):
        speedup(np.array(a), np.array(b))


def test_rounds_in_a_row_that_agree_count_for_less():
    wave = np.sin(np.arange(40) / 4)
    assert dependence(wave) > 3
    assert dependence(wave[np.random.default_rng(0).permutation(40)]) < 1.5


def test_dependence_of_a_known_process():
    """x_t = 0.5 x_(t-1) + e_t: 1 + 2 (0.5 + 0.25) over the first two lags."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=20_000)
    values = np.zeros_like(noise)
    for index in range(1, len(noise)):
        values[index] = 0.5 * values[index - 1] + noise[index]
    assert dependence(values) == pytest.approx(2.5, abs=0.12)
    assert dependence(noise) == pytest.approx(1, abs=0.05)
