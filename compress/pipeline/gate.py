"""The gate: what was measured against the budgets, three verdicts, and the exit code.

Accuracy is a test of non-inferiority (ICH E9; Piaggio et al., JAMA 2012): a pass is the claim that the
drop is at most what is allowed, and is made only if the one-sided 95% upper bound of the drop says so.

- pass: the bound is within the limit. A model at the limit passes in at most 5% of runs.
- fail: the measured drop is over the limit, and is more than chance (its lower bound is above zero). A
  model that lost nothing fails in at most 5% of runs, however few the items.
- inconclusive: neither. More items decide it.

Why chance is asked for before failing: of 50 items a single one that flips is two points, over most
limits, and says nothing. Speed is no sample of a population, so its value alone fails: a speedup whose
value is under the limit fails, one whose interval reaches under it is inconclusive. Sizes, memory and
latency (the 95th percentile of calls) are compared as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

from compress.core.allowance import allowed_drop
from compress.core.errors import CompressError, ExitCode
from compress.core.report import BudgetLine, Gate

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from compress.core.report import Accuracy, Figures, Speedup, Verdict
    from compress.core.units import MaxDrop

Value = TypeVar("Value")

MIN_ITEMS = 50
"""Items below which no accuracy passes: bounds of means need about that many to hold what they say."""


@dataclass(frozen=True, kw_only=True)
class Budgets:
    """What an artifact must keep to; None: not limited. `set_by_user` holds the names (`max_drop`,
    `min_speedup`, `max_size`, `max_latency`, `max_memory`) that are not a profile's default.
    """

    max_drop: MaxDrop | None = None
    min_speedup: float | None = None
    max_size: int | None = None
    """Bytes."""
    max_latency_ms: float | None = None
    max_memory: int | None = None
    """Bytes, of the process that runs the artifact, at its peak."""
    set_by_user: frozenset[str] = field(default_factory=frozenset)


class Measured(Protocol):
    """What the gate looks at: a `Report`, or `Findings` before there is one."""

    @property
    def result(self) -> Figures:
        """The artifact's own figures."""

    @property
    def speedup(self) -> Speedup:
        """Against both baselines."""

    @property
    def accuracy(self) -> Accuracy | None:
        """On the test split."""


@dataclass(frozen=True, kw_only=True)
class Findings:
    """`Measured`, by itself."""

    result: Figures
    speedup: Speedup
    accuracy: Accuracy | None


def judge(budgets: Budgets, measured: Measured) -> Gate:
    """Hold what was measured against each budget that is set; the gate's verdict is the worst.

    Raises:
        CompressError: a budget is set on something that was not measured, or does not fit the metric.
    """
    result = measured.result
    lines = []
    if budgets.max_drop is not None:
        lines.append(judge_drop(budgets.max_drop, _measured(measured.accuracy, "max_drop")))
    if budgets.min_speedup is not None:
        lines.append(_judge_speedup(budgets.min_speedup, measured.speedup))
    if budgets.max_size is not None:
        lines.append(
            _judge_at_most("max_size", _bytes(budgets.max_size), budgets.max_size, result.size_bytes)
        )
    if budgets.max_latency_ms is not None:
        latency = _measured(result.latency_ms, "max_latency").p95
        text = f"{budgets.max_latency_ms:g}ms"
        lines.append(_judge_at_most("max_latency", text, budgets.max_latency_ms, latency))
    if budgets.max_memory is not None:
        memory = _measured(result.peak_rss_bytes, "max_memory")
        lines.append(_judge_at_most("max_memory", _bytes(budgets.max_memory), budgets.max_memory, memory))
    return Gate(verdict=_worst([line.verdict for line in lines]), budgets=tuple(lines))


def judge_drop(budget: MaxDrop, accuracy: Accuracy) -> BudgetLine:
    """The line of the accuracy budget. The lower bound mirrors the upper one about the drop."""
    limit = allowed_drop(budget, metric=accuracy.metric, baseline=accuracy.baseline)
    drop, bound = accuracy.drop, accuracy.drop_upper_95
    verdict: Verdict = "inconclusive"
    if drop > limit and 2 * drop - bound > 0:
        verdict = "fail"
    elif bound <= limit and accuracy.items >= MIN_ITEMS:
        verdict = "pass"
    return BudgetLine(name="max_drop", limit=budget.text, value=drop, bound=bound, verdict=verdict)


def _judge_speedup(limit: float, speedup: Speedup) -> BudgetLine:
    """Over the faster of the baselines: the user would run that one otherwise."""
    found = [ratio for ratio in (speedup.vs_torch, speedup.vs_onnxruntime_fp32) if ratio is not None]
    ratio = _measured(min(found, key=lambda one: one.value, default=None), "min_speedup")
    verdict: Verdict = "pass" if ratio.low >= limit else "inconclusive" if ratio.value >= limit else "fail"
    return BudgetLine(
        name="min_speedup", limit=f"{limit:g}x", value=ratio.value, bound=ratio.low, verdict=verdict
    )


def _judge_at_most(name: str, text: str, limit: float, value: float) -> BudgetLine:
    verdict: Verdict = "pass" if value <= limit else "fail"
    return BudgetLine(name=name, limit=text, value=value, bound=value, verdict=verdict)


def exit_code(gate: Gate, *, user_set: AbstractSet[str]) -> ExitCode:
    """What a command that gates ends with. A missed budget fails whoever set it; an undecided one is an
    outcome of its own where the user set it, and only a warning where it is a profile's default.
    """
    if gate.verdict == "fail":
        return ExitCode.BUDGET_MISSED
    undecided = {line.name for line in gate.budgets if line.verdict == "inconclusive"}
    return ExitCode.INCONCLUSIVE if undecided & user_set else ExitCode.OK


def items_needed(accuracy: Accuracy, budget: MaxDrop) -> int | None:
    """About how many items would let this drop pass, if more of them showed the same. None where the
    measured drop leaves no room below the limit. (The margin shrinks with the root of their number.)
    """
    room = allowed_drop(budget, metric=accuracy.metric, baseline=accuracy.baseline) - accuracy.drop
    margin = accuracy.drop_upper_95 - accuracy.drop
    if room <= 0:
        return None
    return max(round(accuracy.items * (margin / room) ** 2), accuracy.items, MIN_ITEMS)


def _worst(verdicts: list[Verdict]) -> Verdict:
    order: tuple[Verdict, ...] = ("fail", "inconclusive", "pass")
    return next((verdict for verdict in order if verdict in verdicts), "pass")


def _measured(value: Value | None, name: str) -> Value:
    if value is None:
        message = f"nothing was measured that the budget '{name}' limits"
        raise CompressError("budget-unmeasured", message, hint="measure it, or leave the budget out")
    return value


def _bytes(count: int) -> str:
    """Exactly, in the largest unit that divides it: `18MB`, `1GiB`."""
    units = (("GB", 10**9), ("GiB", 2**30), ("MB", 10**6), ("MiB", 2**20), ("kB", 10**3), ("KiB", 2**10))
    return next((f"{count // size}{unit}" for unit, size in units if count % size == 0), f"{count}B")
