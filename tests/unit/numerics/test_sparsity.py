from __future__ import annotations

import numpy as np
import pytest

from compress.numerics.hessian import inverse_factor
from compress.numerics.sparsity import Pattern, magnitude, sparsegpt, wanda


def naive_sparsegpt(weight, hessian, pattern, block):
    """Algorithm 1 with the inverse of what is not fixed yet computed afresh for every column."""
    weight, n = weight.copy(), weight.shape[1]
    inverses = [np.linalg.inv(hessian[j:, j:]) for j in range(n)]
    kept = np.ones(weight.shape, bool)
    for j in range(n):
        size = pattern.group or block
        if j % size == 0:
            ahead = range(j, min(j + size, n))
            # As the paper does: all columns of the block by the diagonals of their own steps.
            scores = np.stack([weight[:, k] ** 2 / inverses[k][0, 0] for k in ahead], axis=1)
            kept[:, j : j + size] = pattern.keep(scores)
        for row in range(len(weight)):
            if not kept[row, j]:
                weight[row, j:] -= weight[row, j] / inverses[j][0, 0] * inverses[j][0]
                weight[row, j] = 0
    return weight


@pytest.mark.parametrize("pattern", [Pattern(ratio=0.5), Pattern(ratio=0.3), Pattern(zeros=2, group=4)])
def test_sparsegpt_is_algorithm_one(pattern, monkeypatch):
    monkeypatch.setattr("compress.numerics.sparsity.BLOCK", 8)
    random = np.random.default_rng(0)
    x = random.standard_normal((200, 24)) @ random.standard_normal((24, 24))
    weight = random.standard_normal((5, 24)).astype(np.float32)
    hessian = (x.T @ x / len(x)).astype(np.float32)
    factor = inverse_factor(hessian, damping=0.01, activation_order=False)
    damped = hessian + 0.01 * np.diag(hessian).mean() * np.eye(24)
    expected = naive_sparsegpt(weight.astype(float), damped.astype(float), pattern, 8)
    found = sparsegpt(weight, factor.upper, pattern)
    np.testing.assert_array_equal(found == 0, expected == 0)
    np.testing.assert_allclose(found, expected, atol=2e-3)
    error = np.square((found - weight) @ x.T).sum()
    assert error < np.square((magnitude(weight, pattern) - weight) @ x.T).sum()


def test_wanda_compares_within_rows_what_entries_contribute():
    random = np.random.default_rng(1)
    weight, x = random.standard_normal((4, 10)), random.standard_normal((30, 10)) * np.arange(1, 11)
    found = wanda(weight, np.linalg.norm(x, axis=0), Pattern(ratio=0.4))
    for row in range(4):
        sizes = [np.sqrt(sum((weight[row, j] * x[i, j]) ** 2 for i in range(30))) for j in range(10)]
        assert set(np.flatnonzero(found[row] == 0)) == set(np.argsort(sizes)[:4])
        stays = found[row] != 0
        np.testing.assert_array_equal(found[row][stays], weight[row][stays])


def test_magnitude_compares_in_the_whole_matrix():
    weight = np.array([[1.0, -5.0, 0.5], [-4.0, 3.0, 2.0]])
    np.testing.assert_array_equal(magnitude(weight, Pattern(ratio=0.5)), [[0, -5, 0], [-4, 3, 0]])


@pytest.mark.parametrize("columns", [8, 10])
def test_two_of_four_in_every_group_and_the_rest_stays(columns):
    scores = np.random.default_rng(2).random((3, columns))
    kept = Pattern(zeros=2, group=4).keep(scores)
    for row in range(3):
        for start in (0, 4):
            best = start + np.argsort(scores[row, start : start + 4])[2:]
            assert set(start + np.flatnonzero(kept[row, start : start + 4])) == set(best)
    assert kept[:, 8:].all()


def test_nothing_and_everything():
    weight = np.ones((2, 4))
    assert (magnitude(weight, Pattern(ratio=0)) == 1).all()
    assert (magnitude(weight, Pattern(ratio=1)) == 0).all()
