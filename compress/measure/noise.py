"""What made times less certain while they were taken, in plain sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

VARIATION = 0.05
"""Coefficient of variation of the rounds above which times are called unsteady."""
OTHERS = 0.05
"""Share of the processors' time that other programs may take unmentioned."""
STEAL = 0.01
"""Share of the time that the hypervisor may give to other machines unmentioned."""
SLOWER = 0.90
"""Share of the first clock rate below which the processor is said to have slowed down."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Seconds of processor time since the machine started, over all processors, and the clock rate."""

    total: float
    busy: float
    stolen: float
    megahertz: float | None

    @classmethod
    def now(cls) -> Usage:
        """Read the counters of this machine."""
        times = psutil.cpu_times()
        stolen = float(getattr(times, "steal", 0.0))
        waiting = times.idle + float(getattr(times, "iowait", 0.0))
        # Linux counts guests' time in user time as well.
        total = sum(times) - float(getattr(times, "guest", 0.0)) - float(getattr(times, "guest_nice", 0.0))
        return cls(total=total, busy=total - waiting - stolen, stolen=stolen, megahertz=_megahertz())


def machine_noise(before: Usage, after: Usage, *, ours: float) -> list[str]:
    """Sentences about the machine between two moments. `ours` are the seconds of processor time that
    what was measured took itself.
    """
    total = max(after.total - before.total, 1e-9)
    others = (after.busy - before.busy - ours) / total
    stolen = (after.stolen - before.stolen) / total
    sentences = []
    if others > OTHERS:
        sentences.append(f"other programs took {others:.0%} of the processors' time while speed was measured")
    if stolen > STEAL:
        sentences.append(f"the hypervisor gave {stolen:.0%} of the processors' time to other machines")
    if before.megahertz and after.megahertz and after.megahertz < SLOWER * before.megahertz:
        clock = f"from {before.megahertz:.0f} to {after.megahertz:.0f} MHz"
        sentences.append(f"the processor's clock fell {clock} while speed was measured")
    return sentences


def unsteady(medians: Mapping[tuple[str, str], np.ndarray]) -> list[str]:
    """A sentence for each contender and workload whose rounds, (rounds,) in seconds, vary too much."""
    sentences = []
    for (contender, workload), times in medians.items():
        variation = float(times.std(ddof=1) / times.mean()) if len(times) > 1 else 0.0
        if variation > VARIATION:
            sentences.append(f"{contender} at {workload} varied by {variation:.0%} between rounds")
    return sentences


def _megahertz() -> float | None:
    clock = psutil.cpu_freq()
    return float(clock.current) if clock and clock.current else None
