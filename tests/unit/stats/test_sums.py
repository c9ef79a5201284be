from __future__ import annotations

import numpy as np
import pytest

from compress.core.errors import CompressError
from compress.stats.sums import mean, ratio_of_sums
from tests.unit.stats.jackknife import close


def test_mean():
    found = mean(np.array([1, 2, 6]))
    assert found.value == 3
    assert found.influence.tolist() == [-2, -1, 3]


def test_ratio_weighs_items_by_their_size():
    random = np.random.default_rng(0)
    errors, words = random.poisson(2.0, 200), random.integers(1, 30, 200)
    found = ratio_of_sums(errors, words)
    assert found.value == errors.sum() / words.sum()
    assert close(found.influence, lambda a, b: a.sum() / b.sum(), errors, words, tolerance=0.02)


def test_ratio_to_nothing_is_refused():
    with pytest.raises(CompressError) as caught:
        ratio_of_sums(np.zeros(3), np.zeros(3))
    assert caught.value.code == "data-empty"
