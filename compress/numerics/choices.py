"""One option for each of many layers, so that enough is saved and the errors add up to least."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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

    The multiple-choice knapsack by dynamic programming (Kellerer, Pferschy & Pisinger, Knapsack Problems,
    2004, section 11.5): least[m] is the least error of the layers from one on that save m steps or more,

        least_i[m] = min_k error_ik + least_i+1[max(m - saves_ik, 0)].
    """
    if sum(one.saves.max() for one in layers) < target * (1 - 1e-9):
        return None
    if target <= 0:
        return [int(one.error.argmin()) for one in layers]
    missing = np.arange(STEPS + 1)
    least = np.where(missing == 0, 0.0, np.inf)
    tables = []
    for one in reversed(layers):
        saved = _steps(one.saves, target)
        costs = np.stack(
            [cost + least[np.maximum(missing - step, 0)] for cost, step in zip(one.error, saved, strict=True)]
        )  # (K, STEPS + 1)
        tables.append((costs.argmin(axis=0), saved))
        least = costs.min(axis=0)
    if not np.isfinite(least[STEPS]):  # all that there is to save, which rounding down made too little
        return [int(one.saves.argmax()) for one in layers]
    return _followed(tables[::-1])


def _steps(saves: np.ndarray, target: float) -> np.ndarray:
    whole = np.floor(saves.clip(min=0) / target * STEPS * (1 + 1e-12))
    return np.asarray(whole.clip(max=STEPS).astype(int))


def _followed(tables: list[tuple[np.ndarray, np.ndarray]]) -> list[int]:
    """The options along the best way: each layer's table has the best option for what is still missing."""
    missing, chosen = STEPS, []
    for best, saved in tables:
        option = int(best[missing])
        chosen.append(option)
        missing = max(missing - int(saved[option]), 0)
    return chosen
