"""Where a report's figures hold, in words: measured, under limits, or estimated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compress.report import format as fmt

if TYPE_CHECKING:
    from compress.core.report import TargetFacts


def limits(target: TargetFacts) -> str:
    """`constrained to 2 of 16 cores, 8 of 64 GiB of memory`; empty where nothing was limited."""
    if not target.constrained:
        return ""
    return f"constrained to {', '.join(fmt.clean(one) for one in target.limits)}"


def sentence(target: TargetFacts) -> str:
    """The same as a sentence, empty where nothing was limited."""
    found = limits(target)
    return f"Speed, time and memory were measured on this host, {found}." if found else ""
