"""How much to remove from each of many layers, so that enough goes and the errors add up to least."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_ROUNDING = 1e-9


@dataclass(frozen=True)
class Choice:
    """Of one layer: the `error` after 0, 1, 2 ... steps, (K + 1,), and what each step `saves`."""

    error: np.ndarray
    saves: float


def allocate(choices: list[Choice], target: float) -> list[int]:
    """Steps for each layer, which together save `target` at least (or all there is).

    Lagrange: the layers' lower convex hulls are walked in the order of their slopes, error for each thing
    saved (Everett 1963). Exact for convex errors up to the last step, for which the cheapest that suffices is
    taken.
    """
    moves = []
    for layer, choice in enumerate(choices):
        corners = _hull(choice.error)
        for start, stop in pairwise(corners):
            slope = (choice.error[stop] - choice.error[start]) / ((stop - start) * choice.saves)
            moves.append((slope, layer, stop - start))
    steps, saved = [0] * len(choices), 0.0
    for _, layer, count in sorted(moves):
        for _ in range(count):
            if saved >= target - _ROUNDING:
                return steps
            last = _cheapest_last(choices, steps, target - saved)
            if saved + choices[layer].saves >= target - _ROUNDING and last is not None:
                layer = last
            steps[layer] += 1
            saved += choices[layer].saves
    return steps


def _cheapest_last(choices: list[Choice], steps: list[int], missing: float) -> int | None:
    """The layer whose next step saves what is missing at the least error."""
    costs = {
        layer: choice.error[steps[layer] + 1] - choice.error[steps[layer]]
        for layer, choice in enumerate(choices)
        if steps[layer] + 1 < len(choice.error) and choice.saves >= missing - _ROUNDING
    }
    return min(costs, key=lambda layer: costs[layer], default=None)


def _hull(error: np.ndarray) -> list[int]:
    """The corners of the lower convex hull of the points (k, error[k])."""
    corners: list[int] = []
    for point in range(len(error)):
        while len(corners) > 1 and not _below(error, corners[-2], corners[-1], point):
            corners.pop()
        corners.append(point)
    return corners


def _below(error: np.ndarray, first: int, middle: int, last: int) -> bool:
    """Whether the middle point lies under the line through the others."""
    share = (middle - first) / (last - first)
    return bool(error[middle] < error[first] + share * (error[last] - error[first]))
