"""Plots and words of where the time of a call went, by ONNX Runtime's profiler."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from compress.report import format as fmt
from compress.report.bytes_figures import part_style
from compress.report.charts import Pair, Stack, pairs, stacked
from compress.report.figures import Figure, Legend, figure
from compress.report.tables import Cell, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compress.core.operators import Operators, SavingLine, TimeLine
    from compress.core.report import Evidence, Report
    from compress.report.plot import Drawing

_ROWS = 9
"""Operators that the plot shows; the rest are summed up."""
_NAMED = 3
"""Operators that the sentence names."""
_SIDES = {"before": "ONNX Runtime fp32", "after": "this artifact"}


def time_figures(report: Report, evidence: Evidence) -> list[Figure]:
    """Milliseconds of one call, before and after: by part of the model, and by operator; and what pruning
    would save.
    """
    found = report.operators
    parts = [] if found is None else [_parts(found, report)]
    savings = [_savings(evidence.savings)] if evidence.savings else []
    operators = [] if found is None else [_operators(found, report)]
    return [*parts, *savings, *operators]


def _parts(found: Operators, report: Report) -> Figure:
    names = sorted((line.name for line in found.by_component), key=part_style)
    lines = {line.name: line for line in found.by_component}
    stacks = []
    for side in found.profiled:
        spent = {name: getattr(lines[name], f"{side}_ms") for name in names}
        segments = tuple(
            (fmt.clean(name, 24), part_style(name), value) for name, value in spent.items() if value
        )
        stacks.append(Stack(side, segments, fmt.milliseconds(sum(spent.values()))))
    return figure(
        "time-parts",
        "Time by part of the model",
        f"Milliseconds of one call ({_workload(found)}) in the operators of each part.",
        partial(_stacked, stacks=tuple(stacks)),
        legend=tuple(Legend(part_style(name), fmt.clean(name, 40)) for name in names),
        table=by_component(report),
    )


def _stacked(width: float, *, stacks: tuple[Stack, ...]) -> Drawing:
    return stacked(stacks, title="milliseconds", width=width)


def _operators(found: Operators, report: Report) -> Figure:
    shown, rest = found.by_type[:_ROWS], found.by_type[_ROWS:]
    rows = [_pair(fmt.clean(line.name, 40), [line]) for line in shown]
    rows += [_pair(f"{len(rest)} others", rest)] if rest else []
    styles = {"before": "c-ort", "after": "c-result"}
    return figure(
        "time-operators",
        "Time by operator",
        f"Milliseconds of one call ({_workload(found)}) in operators of each type, as they ran after fusion.",
        partial(_pairs, rows=rows),
        legend=tuple(Legend(styles[side], _SIDES[side]) for side in found.profiled),
        table=by_type(report),
        half=False,
    )


def _pair(label: str, lines: Sequence[TimeLine]) -> Pair:
    """Operators that a side has none of have no bar there."""
    before, after = sum(line.before_ms for line in lines), sum(line.after_ms for line in lines)
    counts = [sum(line.before_count for line in lines), sum(line.after_count for line in lines)]
    bars = [value if count else None for value, count in zip((before, after), counts, strict=True)]
    return Pair(label, bars[0], bars[1], (_short(before), _short(after)))


def _short(value: float) -> str:
    return fmt.significant(value) if value >= 0.005 else "0"


def _pairs(width: float, *, rows: list[Pair], title: str = "milliseconds") -> Drawing:
    return pairs(rows, title=title, width=width)


def _savings(savings: Sequence[SavingLine]) -> Figure:
    rows = [
        Pair(fmt.clean(one.step, 24), 100 * one.share, _percent(one.latency_share), _texts(one))
        for one in savings
    ]
    timed = any(one.latency_share is not None for one in savings)
    legend = (Legend("c-ort", "of the weights"), Legend("c-result", "of a call's time (estimated)"))
    return figure(
        "savings",
        "What each pruning step would save",
        "Percent of the original, for removing a quarter of each layer's features or heads, one block, or "
        "half of the tokens. Accuracy is not in it: that is what a run with the step measures.",
        partial(_pairs, rows=rows, title="percent"),
        legend=legend if timed else legend[:1],
        table=_savings_table(savings),
    )


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _texts(one: SavingLine) -> tuple[str, str]:
    return f"{one.share:.1%}", "" if one.latency_share is None else f"{one.latency_share:.1%}"


def _savings_table(savings: Sequence[SavingLine]) -> Table:
    rows = []
    for one in savings:
        weights = (Cell(f"{one.parameters:,}", one.parameters), Cell(_texts(one)[0], one.share))
        bytes_ = Cell(fmt.size(one.size_bytes), one.size_bytes)
        time = Cell(_texts(one)[1] or fmt.ABSENT, one.latency_share)
        rows.append((Cell(fmt.clean(one.step)), Cell(fmt.clean(one.removes)), *weights, bytes_, time))
    columns = ("step", "would remove", "weights", "share", "fp32 bytes", "time (estimated)")
    return Table("What each pruning step would save", columns, tuple(rows))


def by_type(report: Report) -> Table:
    """Time and number of the operators of each type, before and after."""
    found = report.operators
    lines = () if found is None else found.by_type
    columns = ("operator", "before", "number", "after", "number")
    return Table("Latency by operator", columns, tuple(_row(line) for line in lines))


def by_component(report: Report) -> Table:
    """The same by part of the model."""
    found = report.operators
    lines = () if found is None else found.by_component
    columns = ("part", "before", "operators", "after", "operators")
    return Table("Latency by part of the model", columns, tuple(_row(line) for line in lines))


def _row(line: TimeLine) -> tuple[Cell, ...]:
    before = (Cell(_time(line.before_ms), line.before_ms), Cell(f"{line.before_count:,}", line.before_count))
    after = (Cell(_time(line.after_ms), line.after_ms), Cell(f"{line.after_count:,}", line.after_count))
    return Cell(fmt.clean(line.name, 60)), *before, *after


def _time(value: float) -> str:
    return f"{_short(value)} ms"


def words(report: Report) -> str:
    """The operators that take most of a call, before and after, in a sentence; empty where none is known."""
    found = report.operators
    if found is None:
        return ""
    sides = "; ".join(f"{_SIDES[side]}: {_most(found.by_type, f'{side}_ms')}" for side in found.profiled)
    return (
        f"Operators of one call ({_workload(found)}) by ONNX Runtime's profiler, in a run apart from the "
        f"timed ones. {sides}."
    )


def _most(lines: Sequence[TimeLine], key: str) -> str:
    total = sum(getattr(line, key) for line in lines) or 1.0
    largest = sorted(lines, key=lambda line: -getattr(line, key))[:_NAMED]
    return ", ".join(
        f"{fmt.clean(line.name, 40)} {_time(getattr(line, key))} ({getattr(line, key) / total:.0%})"
        for line in largest
        if getattr(line, key)
    )


def _workload(found: Operators) -> str:
    return f"{fmt.clean(found.workload, 40)}, {found.batch} {fmt.TIMES} {found.length}"
