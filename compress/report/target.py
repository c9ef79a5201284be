"""Where a report's figures hold, in words: measured, under limits, or estimated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compress.report import format as fmt

if TYPE_CHECKING:
    from compress.core.report import EstimateFacts, TargetFacts


def limits(target: TargetFacts) -> str:
    """`constrained to 2 of 16 cores, 8 of 64 GiB of memory`; empty where nothing was limited."""
    if not target.constrained:
        return ""
    return f"constrained to {', '.join(fmt.clean(one) for one in target.limits)}"


def sentence(target: TargetFacts) -> str:
    """What holds of the figures, in a sentence: under which limits they were measured, or how far estimates
    are off; empty where the target is this host.
    """
    if target.estimate is not None:
        return _error(target.estimate)
    found = limits(target)
    return f"Speed, time and memory were measured on this host, {found}." if found else ""


def _error(found: EstimateFacts) -> str:
    median, largest = (f"{value * 100:.0f}%" for value in (found.median_error, found.largest_error))
    return (
        f"Estimates of models that the {found.method} had not been fitted to were off by {median} in the "
        f"median and {largest} at most ({found.models} models, on {fmt.clean(found.fitted_on)})."
    )
