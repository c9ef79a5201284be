"""The verdict in words: one line that says whether to ship it, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from compress.report import budgets
from compress.report import format as fmt

if TYPE_CHECKING:
    from compress.core.report import BudgetLine, Report, Verdict

WORDS = {"pass": "Passed", "fail": "Failed", "inconclusive": "Inconclusive"}
_ORDER: tuple[Verdict, ...] = ("fail", "inconclusive", "pass")


@dataclass(frozen=True)
class Headline:
    """`word` is the verdict, `first` what matters most: the gains of an artifact that passed, the
    budget that another one missed. `second` is the other of the two.
    """

    verdict: Verdict
    word: str
    first: str
    second: str


def headline(report: Report) -> Headline:
    """The verdict of a report in words."""
    verdict = report.gate.verdict
    lines = (gains(report), reason(report))
    first, second = lines if verdict == "pass" else reversed(lines)
    return Headline(verdict, WORDS[verdict], first, second)


def gains(report: Report) -> str:
    """Size, speed and accuracy against the best baseline, in one sentence."""
    parts = [part for part in (_smaller(report), _faster(report), _accuracy(report)) if part]
    text = ", ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if text else "Nothing was compared."


def reason(report: Report) -> str:
    """The budget that decided: the first that failed, else the first undecided, else all of them."""
    lines = sorted(report.gate.budgets, key=lambda line: _ORDER.index(line.verdict))
    if not lines:
        return "No budget was set, so nothing was gated."
    if report.gate.verdict != "pass":
        return _missed(lines[0], report)
    held = "; ".join(_held(line, report) for line in lines)
    return f"Within budget: {held}."


def size_ratio(report: Report) -> float | None:
    """How many times smaller the artifact is than the fp32 graph (or the PyTorch weights)."""
    baseline = report.baselines.onnxruntime_fp32 or report.baselines.torch
    if baseline is None or not report.result.size_bytes:
        return None
    return baseline.size_bytes / report.result.size_bytes


def _smaller(report: Report) -> str:
    ratio = size_ratio(report)
    if ratio is None:
        return ""
    times = f"{fmt.factor(ratio)} smaller" if ratio >= 1 else fmt.gain(ratio, "larger")
    return f"{times} ({fmt.size(report.result.size_bytes)})"


def _faster(report: Report) -> str:
    ratio, name = report.speedup.vs_onnxruntime_fp32, "onnxruntime_fp32"
    if ratio is None:
        ratio, name = report.speedup.vs_torch, "torch"
    if ratio is None:
        return ""
    estimated = "" if report.target.measured else "an estimated "
    if ratio.value < 1:
        return f"{estimated}{fmt.gain(ratio.value)} than {fmt.contender(name)}"
    return f"{estimated}{fmt.factor(ratio.value)} the throughput of {fmt.contender(name)}"


def _accuracy(report: Report) -> str:
    accuracy = report.accuracy
    if accuracy is None:
        return "accuracy not measured"
    change = f"{fmt.score(accuracy.baseline)} {fmt.ARROW} {fmt.score(accuracy.result)}"
    return f"{fmt.metric_name(accuracy.metric)} {change}"


def _held(line: BudgetLine, report: Report) -> str:
    edge = "at least" if line.name.startswith("min") else "at most"
    bound = budgets.value(line.bound, line, report)
    return f"{budgets.name(line)} {edge} {bound} (budget {budgets.limit(line, report)})"


def _missed(line: BudgetLine, report: Report) -> str:
    value, bound = (budgets.value(number, line, report) for number in (line.value, line.bound))
    name, limit = budgets.name(line).capitalize(), budgets.limit(line, report)
    could = "could be as low as" if line.name.startswith("min") else "could be as high as"
    if line.verdict == "fail":
        missed = f"{name} is {value}, outside the budget {limit}"
        return f"{missed}." if value == bound else f"{missed}; it {could} {bound}."
    return f"{name} is {value} but {could} {bound}: too little evidence for the budget {limit}."
