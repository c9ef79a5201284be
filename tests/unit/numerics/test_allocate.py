from __future__ import annotations

import itertools

import numpy as np
import pytest

from compress.numerics.allocate import Choice, allocate


def exhaustive(choices, target):
    options = itertools.product(*(range(len(choice.error)) for choice in choices))
    fit = [one for one in options if sum(k * c.saves for k, c in zip(one, choices, strict=True)) >= target]
    return min(sum(c.error[k] for k, c in zip(one, choices, strict=True)) for one in fit)


@pytest.mark.parametrize("seed", range(8))
def test_the_best_of_all_where_errors_are_convex_and_steps_save_the_same(seed):
    random = np.random.default_rng(seed)
    errors = [np.concatenate([[0], np.cumsum(np.sort(random.random(4)))]) for _ in range(3)]
    choices = [Choice(error, 2.0) for error in errors]
    for target in (2, 6, 10, 24):
        steps = allocate(choices, target)
        assert sum(steps) * 2 == target
        found = sum(choice.error[step] for choice, step in zip(choices, steps, strict=True))
        assert found == pytest.approx(exhaustive(choices, target))


def test_where_steps_save_unequally_it_is_within_one_step_of_the_best():
    choices = [Choice(np.array([0, 1.0, 4.0]), 1.0), Choice(np.array([0, 5.0, 12.0]), 10.0)]
    assert allocate(choices, 10) == [0, 1]
    assert allocate(choices, 11) == [1, 1]


def test_a_dear_first_step_before_a_cheap_second_is_seen():
    choices = [Choice(np.array([0, 3.0, 3.1]), 1.0), Choice(np.array([0, 2.0, 5.0]), 1.0)]
    assert allocate(choices, 2) == [2, 0]


def test_everything_goes_where_the_target_is_out_of_reach():
    assert allocate([Choice(np.array([0, 1.0]), 1.0)], 99) == [1]
