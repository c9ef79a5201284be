from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr

from compress.stats.rank import spearman
from tests.unit.stats.jackknife import close

NUMBERS = arrays(np.float64, 12, elements=some.integers(-4, 4))


@given(NUMBERS, NUMBERS)
def test_value_is_scipys_with_any_ties(left, right):
    found = spearman(left, right).value
    if len(set(left)) > 1 and len(set(right)) > 1:
        assert found == pytest.approx(spearmanr(left, right).statistic, abs=1e-12)
    else:
        assert found == 0


@pytest.mark.parametrize("steps", [5, 1000], ids=["ties", "no ties"])
def test_influence_is_the_jackknifes(steps):
    random = np.random.default_rng(0)
    left = random.normal(size=300)
    right = np.round((left + random.normal(size=300)) * steps)
    found = spearman(left, right).influence
    assert abs(found.mean()) < 1e-12
    assert close(found, lambda a, b: spearmanr(a, b).statistic, left, right, tolerance=0.05)


def test_a_monotone_change_of_either_side_changes_nothing():
    random = np.random.default_rng(1)
    left, right = random.normal(size=(2, 50))
    first, second = spearman(left, right), spearman(np.exp(left), right**3)
    assert second.value == pytest.approx(first.value)
    assert second.influence == pytest.approx(first.influence)
