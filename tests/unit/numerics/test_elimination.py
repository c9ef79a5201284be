from __future__ import annotations

import itertools

import numpy as np
import pytest

from compress.numerics.elimination import costs_of, eliminate
from compress.numerics.least_squares import Moments, damped, refit


def problem(seed, d=3, n=6, rows=50):
    random = np.random.default_rng(seed)
    x = random.standard_normal((rows, n)) @ random.standard_normal((n, n)) + random.standard_normal(n)
    return random.standard_normal((d, n)), x


def best_error(weight, x, kept):
    """The squared error that is left after a least-squares fit, by lstsq on the data itself."""
    target = x @ weight.T
    fitted, *_ = np.linalg.lstsq(x[:, kept], target, rcond=None)
    return np.square(target - x[:, kept] @ fitted).sum()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("width", [1, 2, 3])
def test_a_units_cost_is_the_error_after_the_rest_was_refitted(seed, width):
    weight, x = problem(seed)
    columns = np.random.default_rng(seed).permutation(6).reshape(-1, width)
    costs = costs_of(weight, x.T @ x, columns)
    for unit, own in enumerate(columns):
        kept = np.setdiff1d(np.arange(6), own)
        assert costs[unit] == pytest.approx(best_error(weight, x, kept), rel=1e-6)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("width", [1, 2])
def test_each_removal_is_the_best_next_one_and_errors_are_those_of_what_is_left(seed, width):
    weight, x = problem(seed)
    columns = np.arange(6).reshape(-1, width)
    count = len(columns) - 1
    found = eliminate(weight, x.T @ x, columns, removals=count)
    for step in range(1, count + 1):
        before = set(found.order[: step - 1].tolist())
        options = {
            unit: best_error(weight, x, columns[sorted(set(range(len(columns))) - before - {unit})].ravel())
            for unit in set(range(len(columns))) - before
        }
        assert found.order[step - 1] == min(options, key=options.get)
        assert found.errors[step - 1] == pytest.approx(min(options.values()), rel=1e-6)
        assert len(found.kept(len(columns), step)) == len(columns) - step


def test_several_at_once_leave_the_error_of_a_refit_and_never_a_unit_twice():
    weight, x = problem(5, n=8)
    found = eliminate(weight, x.T @ x, np.arange(8)[:, None], removals=7, at_once=3)
    assert len(set(found.order.tolist())) == 7
    alone = eliminate(weight, x.T @ x, np.arange(8)[:, None], removals=7)
    assert set(found.order[:1]) == set(alone.order[:1])


def test_greedy_finds_what_exhaustive_search_does_where_inputs_are_independent():
    random = np.random.default_rng(0)
    weight, x = random.standard_normal((2, 6)), random.standard_normal((4000, 6))
    kept = eliminate(weight, x.T @ x, np.arange(6)[:, None], removals=3).kept(6, 3)
    best = min(itertools.combinations(range(6), 3), key=lambda one: best_error(weight, x, list(one)))
    assert tuple(kept) == best


@pytest.mark.parametrize("seed", range(3))
def test_a_refit_is_the_least_squares_solution(seed):
    weight, x = problem(seed)
    bias, kept = np.array([1.0, -2.0, 0.5]), np.array([0, 2, 3])
    moments = Moments(x.T @ x, x.sum(axis=0), len(x))
    ones = np.ones((len(x), 1))
    expected, *_ = np.linalg.lstsq(np.hstack([x[:, kept], ones]), x @ weight.T + bias, rcond=None)
    fitted, offset = refit(weight, bias, moments, kept, damping=0)
    np.testing.assert_allclose(fitted, expected[:-1].T, rtol=1e-6)
    np.testing.assert_allclose(offset, expected[-1], rtol=1e-6)
    expected, *_ = np.linalg.lstsq(x[:, kept], x @ weight.T, rcond=None)
    fitted, offset = refit(weight, None, moments, kept, damping=0)
    np.testing.assert_allclose(fitted, expected.T, rtol=1e-6)
    assert offset is None


def test_damping_keeps_the_refit_near_the_columns_that_stay():
    weight, x = problem(1)
    moments, kept = Moments(x.T @ x, x.sum(axis=0), len(x)), np.array([1, 4])
    fitted, _ = refit(weight, None, moments, kept, damping=1e9)
    np.testing.assert_allclose(fitted, weight[:, kept], rtol=1e-5)
    assert np.all(np.linalg.eigvalsh(damped(np.zeros((3, 3)), 0.01)) > 0)
