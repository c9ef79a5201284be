"""Budgets in words and numbers: what each limits, in which unit, and where its line is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compress.core.allowance import allowed_drop
from compress.core.errors import CompressError
from compress.core.units import parse_duration_ms, parse_max_drop, parse_ratio, parse_size
from compress.report import format as fmt

if TYPE_CHECKING:
    from compress.core.report import Accuracy, BudgetLine, Report
    from compress.core.units import MaxDrop

_NAMES = {
    "max_drop": "accuracy drop",
    "min_speedup": "speedup",
    "max_size": "size",
    "max_latency": "latency",
    "max_memory": "peak memory",
}
_PARSERS = {
    "min_speedup": parse_ratio,
    "max_size": parse_size,
    "max_latency": parse_duration_ms,
    "max_memory": parse_size,
}


def key(line: BudgetLine) -> str:
    """The budget's name as settings spell it: `max_drop`."""
    return line.name.replace("-", "_")


def name(line: BudgetLine) -> str:
    """What a budget limits: `max_drop` is `accuracy drop`."""
    return _NAMES.get(key(line), fmt.clean(line.name).replace("_", " "))


def value(number: float, line: BudgetLine, report: Report) -> str:
    """A figure in the unit of a budget."""
    if key(line) == "max_drop":
        return fmt.drop(number, report.accuracy.metric if report.accuracy else "")
    if key(line) in ("max_size", "max_memory"):
        return fmt.size(number)
    return fmt.milliseconds(number) if key(line) == "max_latency" else fmt.gain(number)


def limit(line: BudgetLine, report: Report) -> str:
    """The limit as it was set, with its direction, and in units of the metric where it is a share:
    `≤ 1% = 0.82 pt`.
    """
    text = f"{fmt.AT_LEAST if key(line).startswith('min') else fmt.AT_MOST} {fmt.clean(line.limit)}"
    number = limit_value(line, report)
    if key(line) != "max_drop" or number is None or line.limit.endswith("pt"):
        return text
    return f"{text} = {value(number, line, report)}"


def limit_value(line: BudgetLine, report: Report) -> float | None:
    """The limit as a number: a drop in units of the metric, a ratio, bytes or milliseconds. None where
    it is written in a way of its own: then it is shown in words, and only its line in plots is missing.
    """
    try:
        if key(line) == "max_drop":
            return _allowed(parse_max_drop(line.limit), report.accuracy)
        return _PARSERS[key(line)](line.limit) if key(line) in _PARSERS else None
    except CompressError:
        return None


def _allowed(budget: MaxDrop, accuracy: Accuracy | None) -> float | None:
    if accuracy is None:
        return None
    return allowed_drop(budget, metric=accuracy.metric, baseline=accuracy.baseline)


def find(report: Report, name: str) -> float | None:
    """The numeric limit of the budget called `name`, None where there is none."""
    lines = [line for line in report.gate.budgets if key(line) == name]
    return limit_value(lines[0], report) if lines else None
