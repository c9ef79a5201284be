"""Who beats whom where several things count at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

Verdict = Literal["better", "equal", "worse"]
"""Of one thing in another's place: `equal` too where the evidence does not tell."""


def beats(verdicts: Sequence[Verdict]) -> bool:
    """Whether something that compares so, one verdict a criterion, is no worse in any and better in one
    (Pareto dominance).
    """
    return "worse" not in verdicts and "better" in verdicts


def by_interval(low: float, high: float, *, even: float = 1.0) -> Verdict:
    """Of a quantity of which more is better, known to lie in [low, high]: against `even`."""
    if low > even:
        return "better"
    return "worse" if high < even else "equal"


def by_value(own: float, other: float) -> Verdict:
    """Of a quantity that is known exactly, and of which less is better."""
    if own == other:
        return "equal"
    return "better" if own < other else "worse"
