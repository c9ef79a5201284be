"""One option for each of many layers, so that enough is saved and the errors add up to least."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compress.numerics.knapsack import solve

STEPS = 8192
"""Steps that the target is counted in. Savings are rounded down to them, so that a plan never saves less
than was asked for; at most one step a layer is given away."""


@dataclass(frozen=True)
class Options:
    """Of one layer: what each option `saves` and the `error` that it makes, both (K,)."""

    saves: np.ndarray
    error: np.ndarray


def choose(layers: list[Options], target: float) -> list[int] | None:
    """The option of each layer that together save `target` at the least error; None where all cannot.

    As a knapsack of whole steps (`compress.numerics.knapsack`).
    """
    if sum(one.saves.max() for one in layers) < target * (1 - 1e-9):
        return None
    if target <= 0:
        return [int(one.error.argmin()) for one in layers]
    saved = [_steps(one.saves, target) for one in layers]
    chosen = solve(saved, [one.error.tolist() for one in layers], STEPS, cover=True)
    # None: all that there is to save, which rounding down made too little
    return [int(one.saves.argmax()) for one in layers] if chosen is None else chosen


def _steps(saves: np.ndarray, target: float) -> list[int]:
    whole = np.floor(saves.clip(min=0) / target * STEPS * (1 + 1e-12))
    return [int(step) for step in whole.clip(max=STEPS)]
