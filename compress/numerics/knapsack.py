"""One choice for each of many items, so that the sizes fit a budget and the losses add up to least.

The multiple-choice knapsack problem (Sinha and Zoltners 1979), by dynamic programming over sizes in steps:
exact where sizes are multiples of the step, and otherwise as good as with sizes rounded up to it. `solve`
knows whole numbers alone; `compress.numerics.choices` rounds seconds to such.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

_STEPS = 1 << 14
"""Into which a budget is divided at most: with 400 items of 3 choices that takes a tenth of a second."""


def choose(sizes: Sequence[Sequence[int]], losses: Sequence[Sequence[float]], budget: int) -> list[int]:
    """The index of the choice for each item; of item i choice j takes `sizes[i][j]` and costs
    `losses[i][j]`.

    Raises:
        ValueError: not even the smallest choices fit the budget.
    """
    least = [min(row) for row in sizes]
    spare = budget - sum(least)
    if spare < 0:
        raise ValueError(f"the smallest choices take {sum(least)}, more than {budget}")
    extra = [[size - low for size in row] for row, low in zip(sizes, least, strict=True)]
    most = sum(max(row) for row in extra)
    spare = min(spare, most)
    step = _step([size for row in extra for size in row], spare)
    chosen = solve([[-(-size // step) for size in row] for row in extra], losses, spare // step, cover=False)
    assert chosen is not None  # the smallest choices fit
    return chosen


def _step(sizes: list[int], spare: int) -> int:
    """The sizes' common divisor, or a larger step where the budget has too many of those."""
    divisor = math.gcd(*sizes) or 1
    return max(divisor, -(-spare // _STEPS))


def solve(
    amounts: Sequence[Sequence[int]], losses: Sequence[Sequence[float]], total: int, *, cover: bool
) -> list[int] | None:
    """The index of the choice for each item, with amounts (not negative) that add up to `total` at most or,
    with `cover`, at least, at the least sum of losses; None where none do. With least_i[m] that of the items
    from i on when m of the total is left (Kellerer, Pferschy & Pisinger, Knapsack Problems, 2004, 11.5),

        least_i[m] = min_j losses_ij + least_i+1[m - amounts_ij],

    where less than nothing left is nothing to `cover`, and else impossible.
    """
    least = np.full(total + 1, np.inf if cover else 0.0)
    least[0] = 0.0
    tables = []
    for row, cost in zip(reversed(amounts), reversed(losses), strict=True):
        options = np.empty((len(row), total + 1))
        for choice, (amount, loss) in enumerate(zip(row, cost, strict=True)):
            options[choice, :amount] = least[0] + loss if cover else np.inf
            options[choice, amount:] = least[: max(total + 1 - amount, 0)] + loss
        tables.append(options.argmin(axis=0))
        least = options.min(axis=0)
    return _followed(amounts, tables[::-1], total) if np.isfinite(least[total]) else None


def _followed(amounts: Sequence[Sequence[int]], tables: list[np.ndarray], total: int) -> list[int]:
    """The choices along the best way: each item's table has the best one for what is left."""
    chosen = []
    for row, best in zip(amounts, tables, strict=True):
        chosen.append(int(best[total]))
        total = max(total - row[chosen[-1]], 0)
    return chosen
