"""`compress compare --json`: several models side by side. Its keys are a contract, as the report's are."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from compress.core.config import Frozen
from compress.core.cost import Cost
from compress.core.profile import Workload
from compress.core.report import Figures, Ratio, Samples, TargetFacts


class Standing(Frozen):
    """How good one model is, on the same items as all others.

    `drop` is how much worse it is than the first of the comparison, in units of the metric (for
    perplexity and bits per byte: relative increase), negative where it is better. `low` and `high`
    each hold with 95% by themselves; together they are a 90% interval. `low` is None for fidelity,
    which has no better than the original.
    """

    metric: str
    kind: Literal["task", "fidelity"]
    items: int
    value: float
    drop: float | None = None
    low: float | None = None
    high: float | None = None


class Compared(Frozen):
    """One model. `speedup` is against the first, by workload; None for the first itself."""

    name: str
    runtime: str
    figures: Figures
    standing: Standing | None
    speedup: dict[str, Ratio] | None
    cost: Cost | None = None
    beaten_by: tuple[str, ...] = ()
    """The models that are no worse in size, time and accuracy and better in one; empty: on the front."""

    @property
    def on_front(self) -> bool:
        """Whether no other model beats it."""
        return not self.beaten_by


class Comparison(Frozen):
    """The whole document. The first of `models` is what the others are compared with."""

    schema_version: Literal[1] = 1
    created: str
    """UTC, ISO 8601."""
    task: str
    target: TargetFacts
    workloads: dict[str, Workload]
    data: dict[str, Any]
    models: tuple[Compared, ...]
    samples: tuple[Samples, ...] = ()
    noise: list[str] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
