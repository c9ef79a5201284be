"""What inference costs on a target: energy and money, by the thousand inferences or million tokens."""

from __future__ import annotations

from typing import Literal

from compress.core.config import Frozen

Unit = Literal["1,000 inferences", "1,000,000 tokens"]
COUNTS: dict[Unit, float] = {"1,000 inferences": 1e3, "1,000,000 tokens": 1e6}


class Cost(Frozen):
    """Of `unit`. What is not known is None: no watts, no meter, no price.

    `energy` is `measured` where the machine's own meter was read while the model ran (which counts all
    that ran), and `estimated` where it is the profile's watts over the time.
    """

    unit: Unit
    seconds: float
    joules: float | None = None
    energy: Literal["measured", "estimated"] | None = None
    usd: float | None = None


def cost(
    unit: Unit,
    *,
    each_s: float,
    watts: float | None,
    price_per_hour: float | None,
    joules_each: float | None = None,
) -> Cost:
    """The cost of things that take `each_s` seconds and, where that was measured, `joules_each`.

    `watts` is drawn and `price_per_hour` (USD) is paid for the whole machine.
    """
    count = COUNTS[unit]
    joules = joules_each if joules_each is not None else None if watts is None else watts * each_s
    return Cost(
        unit=unit,
        seconds=each_s * count,
        joules=None if joules is None else joules * count,
        energy=None if joules is None else "estimated" if joules_each is None else "measured",
        usd=None if price_per_hour is None else price_per_hour / 3600 * each_s * count,
    )
