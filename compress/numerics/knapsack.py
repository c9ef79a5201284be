"""One choice for each of many items, so that the sizes fit a budget and the losses add up to least.

The multiple-choice knapsack problem (Sinha and Zoltners 1979), by dynamic programming over sizes in steps:
exact where sizes are multiples of the step, and otherwise as good as with sizes rounded up to it.
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
    return _solved([[-(-size // step) for size in row] for row in extra], losses, spare // step)


def _step(sizes: list[int], spare: int) -> int:
    """The sizes' common divisor, or a larger step where the budget has too many of those."""
    divisor = math.gcd(*sizes) or 1
    return max(divisor, -(-spare // _STEPS))


def _solved(sizes: list[list[int]], losses: Sequence[Sequence[float]], room: int) -> list[int]:
    best = np.zeros(room + 1)  # (room + 1,) the least loss of the items so far within so many steps
    taken = []
    for row, cost in zip(sizes, losses, strict=True):
        options = np.full((len(row), room + 1), np.inf)
        for choice, (size, loss) in enumerate(zip(row, cost, strict=True)):
            if size <= room:
                options[choice, size:] = best[: room + 1 - size] + loss
        taken.append(options.argmin(axis=0))
        best = options.min(axis=0)
    chosen = []
    for row, choices in zip(reversed(sizes), reversed(taken), strict=True):
        chosen.append(int(choices[room]))
        room -= row[chosen[-1]]
    return chosen[::-1]
