"""What inference costs, from what was timed and from what the target draws and is paid for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compress.core.cost import Cost, cost

if TYPE_CHECKING:
    from collections.abc import Mapping

    from compress.core.profile import Profile
    from compress.core.report import Figures


def costs_of(
    figures: Mapping[str, Figures], profile: Profile, *, joules_each: Mapping[str, float]
) -> dict[str, Cost]:
    """By contender. Of decoders a million decoded tokens, of other models a thousand items of the
    `throughput` workload; `joules_each` of a token or an item where the machine's meter was read.
    """
    found = {name: cost_of(one, profile, joules_each=joules_each.get(name)) for name, one in figures.items()}
    return {name: one for name, one in found.items() if one is not None}


def cost_of(figures: Figures, profile: Profile, *, joules_each: float | None) -> Cost | None:
    """Of one contender, None where it was not timed."""
    rate = figures.decode_tokens_per_s or figures.throughput_per_s
    if not rate:
        return None
    return cost(
        "1,000,000 tokens" if figures.decode_tokens_per_s else "1,000 inferences",
        each_s=1 / rate,
        watts=profile.watts,
        price_per_hour=profile.price_per_hour,
        joules_each=joules_each,
    )
