"""One saved report against an older one: is there evidence that something got worse?

A gate asks whether a budget is kept for certain; this asks whether a change did harm, so that the same
artifact measured twice passes. Sizes are compared as they are. Speedups are over ONNX Runtime fp32 in
each report's own run, so that two machines of one kind can be compared: the new one is worse where its
whole interval lies below the old one's. Drops of accuracy are against the same original: the new one is
worse where the difference is more than `TRIFLE` and more than chance.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from compress.core.allowance import RELATIVE
from compress.core.errors import CompressError
from compress.core.report import BudgetLine, Gate

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from compress.core.report import Accuracy, Ratio, Report, Verdict

SIZE = 1.01
"""Growth of the files that is no regression: a few names and scales."""
MEMORY = 1.10
"""Growth of peak memory that is none: allocators differ from run to run by some percent."""
TRIFLE = 0.001
"""Drop of accuracy beyond the old one that is none, in units of the metric."""


def regressions(new: Report, old: Report, *, data: tuple[Mapping[str, Any], Mapping[str, Any]]) -> Gate:
    """A line for size, memory, speed and accuracy each, where both reports have them. `data` are the facts
    about the data of the new and of the old report.

    Raises:
        CompressError: the reports are for different tasks, targets or metrics.
    """
    _refuse_unlike(new, old)
    lines = [_size(new, old)]
    after, before = new.result.peak_rss_bytes, old.result.peak_rss_bytes
    if after and before and new.target.host == old.target.host:
        lines.append(_at_most("max_memory", after, before, MEMORY))
    ratios = new.speedup.vs_onnxruntime_fp32, old.speedup.vs_onnxruntime_fp32
    if ratios[0] is not None and ratios[1] is not None:
        lines.append(_speed(ratios[0], ratios[1]))
    if new.accuracy is not None and old.accuracy is not None:
        same = data[0].get("digest") == data[1].get("digest")
        lines.append(_accuracy(new.accuracy, old.accuracy, same_data=same))
    return together(lines)


def together(lines: list[BudgetLine]) -> Gate:
    """A gate of these lines; its verdict is the worst."""
    order: tuple[Verdict, ...] = ("fail", "inconclusive", "pass")
    found = {line.verdict for line in lines}
    return Gate(verdict=next((one for one in order if one in found), "pass"), budgets=tuple(lines))


def _refuse_unlike(new: Report, old: Report) -> None:
    pairs = {
        "task": (new.model.task, old.model.task),
        "target": (new.target.profile, old.target.profile),
        "measured": (new.target.measured, old.target.measured),
        "metric": tuple(one.accuracy.metric if one.accuracy else None for one in (new, old)),
    }
    for name, (after, before) in pairs.items():
        if after != before:
            message = f"the reports differ in {name}: {after}, and {before} in the old one"
            raise CompressError("report-unlike", message, hint="compare reports of the same kind of run")


def _size(new: Report, old: Report) -> BudgetLine:
    return _at_most("max_size", new.result.size_bytes, old.result.size_bytes, SIZE)


def _at_most(name: str, after: float, before: float, slack: float) -> BudgetLine:
    verdict: Verdict = "pass" if after <= before * slack else "fail"
    limit = f"{before / 1e6:.1f} MB before, +{slack - 1:.0%}"
    return BudgetLine(name=name, limit=limit, value=after, bound=after, verdict=verdict)


def _speed(after: Ratio, before: Ratio) -> BudgetLine:
    verdict: Verdict = "fail" if after.high < before.low else "pass"
    limit = f"{before.value:.2f}x ({before.low:.2f}-{before.high:.2f}) before"
    return BudgetLine(name="min_speedup", limit=limit, value=after.value, bound=after.value, verdict=verdict)


def _accuracy(after: Accuracy, before: Accuracy, *, same_data: bool) -> BudgetLine:
    """Both drops have one-sided bounds; the error of their difference is at most that of independent ones."""
    more = after.drop - before.drop
    error = math.hypot(after.drop_upper_95 - after.drop, before.drop_upper_95 - before.drop)
    verdict: Verdict = "fail" if more > TRIFLE and more > error else "pass"
    limit = f"{100 * before.drop:.2f}{'%' if before.metric in RELATIVE else 'pt'} before"
    if not same_data:
        verdict, limit = "inconclusive", f"{limit}, on other data"
    return BudgetLine(name="max_drop", limit=limit, value=after.drop, bound=after.drop, verdict=verdict)
