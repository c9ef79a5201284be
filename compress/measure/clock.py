"""The time that a measurement may take, and what of it is over."""

from __future__ import annotations

import math
import time


class Clock:
    """The time that a race has taken, and how many whole seconds of it were not yet told."""

    def __init__(self, budget_s: float) -> None:
        self._start = time.monotonic()
        self._budget_s = budget_s
        self._told = 0

    @property
    def share(self) -> float:
        """Of the budget: above 1 when it is spent."""
        return (time.monotonic() - self._start) / max(self._budget_s, 1e-9)

    def whole_seconds(self) -> int:
        """Those that passed since the last call."""
        passed = min(int(time.monotonic() - self._start), math.ceil(self._budget_s))
        fresh, self._told = passed - self._told, passed
        return fresh
