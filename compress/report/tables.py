"""The tables of a report, once for all its forms: HTML, Markdown and the terminal."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compress.report import budgets as words
from compress.report import format as fmt
from compress.report.headline import WORDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from compress.core.report import BudgetLine, CandidateLine, Evidence, Figures, Ratio, Report, StepLine

DIFFERS_BY_HOST = ("speedup", "latency", "throughput", "tokens", "time", "memory")
"""Words in the names of the figures that are estimated where the target is another machine."""


@dataclass(frozen=True)
class Cell:
    """One cell: its text, and the exact `value` behind it; `tone` is a verdict or a state."""

    text: str
    value: float | None = None
    tone: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of cells; the first cell of a row names it."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def contenders(report: Report) -> list[tuple[str, Figures]]:
    """The baselines that were measured, then the artifact, by their names in the samples."""
    named = (
        ("torch", report.baselines.torch),
        ("torch_bfloat16", report.baselines.torch_bfloat16),
        ("onnxruntime_fp32", report.baselines.onnxruntime_fp32),
        ("result", report.result),
    )
    return [(name, figures) for name, figures in named if figures is not None]


def measurements(report: Report) -> Table:
    """Size, time and memory of every contender, side by side."""
    shown = contenders(report)
    rows = []
    for key, label, write in fmt.FIGURES:
        values = [fmt.figure(figures, key) for _, figures in shown]
        if any(value is not None for value in values):
            cells = [Cell(write(value), value) for value in values]
            rows.append((Cell(estimated(label, report)), *cells))
    names = tuple(fmt.contender(name) for name, _ in shown)
    return Table("Measurements", ("", *names), tuple(rows))


def estimated(label: str, report: Report) -> str:
    """The label, marked where its figures were computed for a machine that this one is not."""
    depends = any(word in label.lower() for word in DIFFERS_BY_HOST)
    return label if report.target.measured or not depends else f"{label} (estimated)"


def speedups(report: Report, evidence: Evidence) -> Table:
    """Speedups by workload against both baselines, with their intervals."""
    rows = [
        (Cell(f"{workload}, against {fmt.contender(baseline)}"), *_ratio(ratio))
        for workload, baseline, ratio in ratios(report, evidence)
    ]
    return Table("Speedups", ("workload", "speedup", "95% from", "to"), tuple(rows))


def ratios(report: Report, evidence: Evidence) -> list[tuple[str, str, Ratio]]:
    """(workload, baseline, speedup): those of the evidence, and the report's own where it has none."""
    found = [
        (fmt.clean(workload), fmt.clean(baseline), ratio)
        for baseline, by_workload in evidence.ratios.items()
        for workload, ratio in by_workload.items()
    ]
    known = {(workload, baseline) for workload, baseline, _ in found}
    for baseline, ratio in headline_speedups(report).items():
        if ratio is not None and ("throughput", baseline) not in known:
            found.append(("throughput", baseline, ratio))
    return sorted(found, key=lambda row: row[:2])


def headline_speedups(report: Report) -> dict[str, Ratio | None]:
    """The report's own ratio against each baseline."""
    return {
        "torch": report.speedup.vs_torch,
        "torch_bfloat16": report.speedup.vs_torch_bfloat16,
        "onnxruntime_fp32": report.speedup.vs_onnxruntime_fp32,
    }


def budgets(report: Report) -> Table:
    """Every budget: its limit, what was measured, the bound that was compared, the verdict."""
    rows = tuple(_budget(line, report) for line in report.gate.budgets)
    return Table("Budgets", ("budget", "limit", "measured", "95% bound", "verdict"), rows)


def _budget(line: BudgetLine, report: Report) -> tuple[Cell, ...]:
    value, bound = (Cell(words.value(number, line, report), number) for number in (line.value, line.bound))
    name = estimated(words.name(line), report)
    verdict = Cell(WORDS[line.verdict].lower(), tone=line.verdict)
    return Cell(name), Cell(words.limit(line, report)), value, bound, verdict


def accuracy(report: Report) -> Table:
    """The metric before and after, and the drop with its bound."""
    found = report.accuracy
    if found is None:
        return Table("Accuracy", ("", ""), ())
    bound = found.drop_upper_95
    rows = (
        (Cell("original"), Cell(fmt.score(found.baseline), found.baseline)),
        (Cell("this artifact"), Cell(fmt.score(found.result), found.result)),
        (Cell("drop"), Cell(fmt.drop(found.drop, found.metric), found.drop)),
        (Cell("drop, 95% upper bound"), Cell(fmt.drop(bound, found.metric), bound)),
        (Cell("items"), Cell(f"{found.items:,}", found.items)),
    )
    return Table("Accuracy", ("", fmt.metric_name(found.metric)), rows)


def candidates(report: Report, evidence: Evidence) -> Table:
    """Every recipe that was tried, in the order of trial, and why each was left out."""
    metric = report.accuracy.metric if report.accuracy else ""
    workloads = list(dict.fromkeys(w for line in evidence.candidates for w in line.vs_onnxruntime_fp32))
    rows = tuple(
        _candidate(number, line, workloads, metric) for number, line in enumerate(evidence.candidates, 1)
    )
    speed = [f"{fmt.clean(workload)} {fmt.TIMES} ORT fp32" for workload in workloads]
    return Table("Candidates", ("", "candidate", "size", "drop", *speed, "outcome", "why"), rows)


def _candidate(number: int, line: CandidateLine, workloads: Sequence[str], metric: str) -> tuple[Cell, ...]:
    name = fmt.clean(line.name)
    if line.runtime != "onnxruntime":
        name = f"{name} ({fmt.clean(line.runtime)})"
    state = Cell("chosen", tone="pass") if line.kept else Cell("left out", tone="out")
    speed = [_interval(line.vs_onnxruntime_fp32.get(workload)) for workload in workloads]
    drop = Cell(fmt.drop(line.drop, metric), line.drop)
    size = Cell(fmt.size(line.size_bytes), line.size_bytes)
    return Cell(str(number)), Cell(name), size, drop, *speed, state, Cell(fmt.clean(line.why))


def steps(report: Report) -> Table:
    """Every step that ran: what it cost, what it made, whether it stayed."""
    rows = tuple(_step(line) for line in report.steps)
    columns = ("step", "recipe", "settings", "time", "peak memory", "size", "score", "outcome", "why")
    return Table("Steps", columns, rows)


def _step(line: StepLine) -> tuple[Cell, ...]:
    config = dict(line.config)
    recipe = fmt.clean(config.pop("recipe", "") or fmt.ABSENT)
    state = Cell("kept", tone="pass") if line.kept else Cell("left out", tone="out")
    return (
        Cell(fmt.clean(line.name)),
        Cell(recipe),
        Cell(settings(config)),
        Cell(fmt.seconds(line.seconds), line.seconds),
        Cell(fmt.size(line.peak_rss_bytes), line.peak_rss_bytes),
        Cell(fmt.size(line.size_bytes), line.size_bytes),
        Cell(fmt.score(line.accuracy), line.accuracy),
        state,
        Cell(fmt.clean(line.why)),
    )


def settings(config: Mapping[str, object]) -> str:
    """A step's settings in one line, exactly: `bits: 4, symmetric: true`."""
    written = ", ".join(f"{key}: {json.dumps(value)}" for key, value in config.items())
    return fmt.clean(written, 2000) or fmt.ABSENT


def components(evidence: Evidence) -> Table:
    """Bytes of each part of the model by dtype, before and after."""
    rows: list[tuple[Cell, ...]] = [
        (
            Cell(fmt.clean(part.name)),
            Cell(fmt.clean(part.dtype)),
            Cell(fmt.size(part.before_bytes), part.before_bytes),
            Cell(fmt.size(part.after_bytes), part.after_bytes),
        )
        for part in evidence.components
    ]
    sides = ("before_bytes", "after_bytes")
    totals = [sum(getattr(part, side) for part in evidence.components) for side in sides]
    rows.append((Cell("total", tone="total"), Cell(""), *(Cell(fmt.size(total), total) for total in totals)))
    return Table("Where the bytes are", ("part", "dtype", "before", "after"), tuple(rows))


def free(title: str, rows: Iterable[Mapping[str, object]]) -> Table:
    """A table over mappings whose keys are not fixed (parity), one column for each key."""
    listed = list(rows)
    keys = list(dict.fromkeys(key for row in listed for key in row))
    cells = tuple(tuple(Cell(fmt.describe(row.get(key))) for key in keys) for row in listed)
    return Table(title, tuple(fmt.clean(key).replace("_", " ") for key in keys), cells)


def _ratio(ratio: Ratio) -> tuple[Cell, Cell, Cell]:
    value, low, high = (Cell(fmt.gain(x), x) for x in (ratio.value, ratio.low, ratio.high))
    return value, low, high


def _interval(ratio: Ratio | None) -> Cell:
    return Cell(fmt.interval(ratio), None if ratio is None else ratio.value)
