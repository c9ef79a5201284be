"""The solver against every combination of choices."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compress.numerics import knapsack

CHOICES = st.lists(
    st.lists(st.tuples(st.integers(0, 30), st.floats(0, 10)), min_size=1, max_size=3), min_size=1, max_size=5
)


def brute_force(sizes, losses, budget):
    combinations = product(*(range(len(row)) for row in sizes))
    fitting = (
        sum(loss[j] for loss, j in zip(losses, chosen, strict=True))
        for chosen in combinations
        if sum(size[j] for size, j in zip(sizes, chosen, strict=True)) <= budget
    )
    return min(fitting, default=None)


@settings(max_examples=150, deadline=None)
@given(CHOICES, st.integers(0, 120))
def test_it_is_the_best_of_all_combinations(items, budget):
    sizes = [[size for size, _ in row] for row in items]
    losses = [[loss for _, loss in row] for row in items]
    best = brute_force(sizes, losses, budget)
    if best is None:
        with pytest.raises(ValueError, match="smallest choices"):
            knapsack.choose(sizes, losses, budget)
        return
    chosen = knapsack.choose(sizes, losses, budget)
    assert sum(row[j] for row, j in zip(sizes, chosen, strict=True)) <= budget
    assert sum(row[j] for row, j in zip(losses, chosen, strict=True)) == pytest.approx(best, abs=1e-9)


def test_large_sizes_never_exceed_the_budget():
    sizes = [[4 * (10**6 + 7 * i), 8 * (10**6 + 7 * i)] for i in range(60)]
    losses = [[1.0 + i % 7, 0.0] for i in range(60)]
    budget = int(5.1 * sum(row[0] / 4 for row in sizes))
    chosen = knapsack.choose(sizes, losses, budget)
    used = sum(row[j] for row, j in zip(sizes, chosen, strict=True))
    assert 0.98 * budget < used <= budget
    lowest = min(loss[0] for loss, j in zip(losses, chosen, strict=True) if j)
    assert lowest >= max(loss[0] for loss, j in zip(losses, chosen, strict=True) if not j) - 1


@settings(max_examples=150, deadline=None)
@given(CHOICES, st.integers(0, 120), st.booleans())
def test_whole_numbers_fill_or_cover_a_total_at_least_loss(items, total, cover):
    amounts = [[amount for amount, _ in row] for row in items]
    losses = [[loss for _, loss in row] for row in items]
    if cover:
        saved = [[max(row) - amount for amount in row] for row in amounts]  # covering is not leaving out
        best = brute_force(saved, losses, sum(map(max, amounts)) - total)
    else:
        best = brute_force(amounts, losses, total)
    chosen = knapsack.solve(amounts, losses, total, cover=cover)
    assert (chosen is None) == (best is None)
    if chosen is not None:
        reached = sum(row[j] for row, j in zip(amounts, chosen, strict=True))
        assert reached >= total if cover else reached <= total
        assert sum(row[j] for row, j in zip(losses, chosen, strict=True)) == pytest.approx(best, abs=1e-9)
