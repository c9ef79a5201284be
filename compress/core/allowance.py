"""How much of a metric may be lost, from a budget as it was written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compress.core.errors import CompressError

if TYPE_CHECKING:
    from compress.core.units import MaxDrop

RELATIVE = frozenset({"perplexity", "bits_per_byte"})
"""Metrics whose drop is a relative increase."""
ERRORS = frozenset({"wer"})
"""Metrics that count what is wrong: their drop is a difference, upwards."""


def allows_all(budget: MaxDrop) -> bool:
    """Tell whether all of a score may be lost, so that accuracy decides nothing: 100% or 100pt."""
    return budget.form != "ratio" and budget.amount >= (100 if budget.form == "points" else 1)


def allowed_drop(budget: MaxDrop, *, metric: str, baseline: float) -> float:
    """The drop that `budget` allows, in units of the metric's drop, given the baseline's value.

    - Scores (accuracy, F1, Spearman, fidelity): points are hundredths, a share is of the baseline.
    - Error rates (WER): points are hundredths too. A share is of what is right, 1 - baseline: one percent
      of an error rate of 5% would be a twentieth of a point, which no test set can show. A ratio is of
      the error rate itself.
    - Perplexity and bits per byte, whose drop is a relative increase: a share and a ratio are the same (1%
      is 1.01x), points are of the figure itself.

    Raises:
        CompressError: a ratio for a score, where `1.05x` could mean many things.
    """
    if metric in RELATIVE:
        points = budget.amount / baseline if baseline else 0.0
        return {"points": points, "share": budget.amount, "ratio": budget.amount - 1}[budget.form]
    if budget.form == "points":
        return budget.amount / 100
    if metric in ERRORS:
        right = max(1 - baseline, 0.0)
        return budget.amount * right if budget.form == "share" else (budget.amount - 1) * baseline
    if budget.form == "ratio":
        message = f"'{budget.text}' is a ratio, and {metric} is a score"
        raise CompressError("budget-invalid", message, hint="write 1% or 0.5pt")
    return budget.amount * abs(baseline)
