"""What was never seen, against draws from a distribution that is known."""

import numpy as np
import pytest

from compress.numerics.unseen import probabilities, spared


def test_it_estimates_the_share_of_new_kinds() -> None:
    random = np.random.default_rng(0)
    true = 1 / np.arange(1, 3001)
    true /= true.sum()
    counts = np.bincount(random.choice(3000, size=20_000, p=true), minlength=3000)
    found = probabilities(counts, np.arange(3000) * 10 // 3000)
    assert found.sum() == pytest.approx(1)
    assert found[counts == 0].sum() == pytest.approx(true[counts == 0].sum(), rel=0.15)


def test_groups_of_which_nothing_was_seen_are_not_expected() -> None:
    counts = np.array([5, 1, 1, 0, 0, 0, 0])
    found = probabilities(counts, np.array([0, 0, 0, 0, 0, 1, 1]))
    assert np.allclose(found * 9, [5, 1, 1, 1, 1, 0, 0])


def test_the_cheapest_go_within_the_share() -> None:
    weights = np.array([0.5, 0.2, 0.1, 0.1, 0.1])
    assert spared(weights, np.array([9.0, 1, 3, 2, 8]), 0.31).tolist() == [False, True, False, True, False]
    assert not spared(weights, np.ones(5), 0.05).any()
