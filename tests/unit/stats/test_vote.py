"""Votes against counting every order and every subset."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, permutations

import numpy as np
import pytest

from compress.stats.vote import NO_ANSWER, coverage, majority_accuracy, mean_interval


def counted(answers, right, k):
    """The majority of every order's first k, by the letter."""
    found = []
    for order in permutations(range(len(answers))):
        first = [answers[at] for at in order[:k] if answers[at] != NO_ANSWER]
        votes = Counter(first)
        winner = max(votes, key=lambda one: (votes[one], -first.index(one))) if votes else None
        found.append(any(right[at] for at in range(len(answers)) if answers[at] == winner))
    return np.mean(found)


@pytest.mark.parametrize(
    ("answers", "truth"),
    [([0, 0, 1, 2], 0), ([0, 1, 1, 2], 1), ([0, 1, 2, 3], 2), ([0, 1, -1, -1], 1), ([0, 0, 0, 0], 5)],
)
def test_the_majority_is_that_of_all_orders(answers, truth):
    right = np.array([one == truth for one in answers])
    wide = np.tile(answers, (400, 1))
    found = majority_accuracy(wide, np.tile(right, (400, 1))).mean(axis=0)
    assert found == pytest.approx([counted(answers, right, k) for k in (1, 2, 3, 4)], abs=0.01)


def test_all_samples_are_counted_exactly():
    answers = np.array([[0, 0, 1], [1, 0, 1], [NO_ANSWER] * 3])
    right = np.array([[True, True, False], [False, True, False], [False] * 3])
    assert majority_accuracy(answers, right)[:, -1].tolist() == [1, 0, 0]


def test_one_sample_is_right_as_often_as_samples_are():
    random = np.random.default_rng(0)
    answers = random.integers(-1, 3, (50, 7))
    right = answers == 1
    assert majority_accuracy(answers, right)[:, 0] == pytest.approx(right.mean(axis=1))


def test_coverage_is_the_share_of_subsets_with_a_right_one():
    right = np.array([[True, False, False, True, False]])
    for k in range(1, 6):
        share = np.mean([right[0, list(subset)].any() for subset in combinations(range(5), k)])
        assert coverage(right)[0, k - 1] == pytest.approx(share)


def test_the_interval_is_students():
    from scipy.stats import ttest_1samp

    values = np.array([0.1, 0.4, 0.35, 0.9])
    expected = ttest_1samp(values, 0).confidence_interval(0.95)
    assert mean_interval(values)[1:] == pytest.approx(tuple(expected))
    assert mean_interval(np.array([0.5])) == (0.5, 0.5, 0.5)
