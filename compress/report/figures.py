"""From a report to its plots: which rows, which limits, and one sentence on how to read each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from statistics import quantiles
from typing import TYPE_CHECKING

from compress.report import budgets, tables
from compress.report import format as fmt
from compress.report.charts import Limit, Row, bars, intervals, strips
from compress.report.plot import HALF, WIDE, both_widths
from compress.report.tables import Cell, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from markupsafe import Markup

    from compress.core.report import Evidence, Report, Samples
    from compress.report.plot import Drawing


MOST_DOTS = 400
"""Samples that one row of a plot shows, evenly spaced, so that a long measurement stays a small page."""


_FAR = 6.0


@dataclass(frozen=True)
class Legend:
    """One entry of a legend: its colour's class and its name."""

    style: str
    name: str


@dataclass(frozen=True)
class Figure:
    """A plot with all that a reader needs who cannot see it."""

    ident: str
    title: str
    caption: str
    drawing: Markup
    table: Table | None = None
    legend: tuple[Legend, ...] = ()
    half: bool = False
    """Two of them fit in a row."""


def figure(
    ident: str,
    title: str,
    caption: str,
    draw: Callable[[float], Drawing],
    *,
    table: Table | None = None,
    legend: tuple[Legend, ...] = (),
    half: bool = True,
) -> Figure:
    """Draw a plot in both widths and put it together with its words."""
    wide = HALF if half else WIDE
    drawing = both_widths(draw, wide=wide, ident=ident, title=title, description=caption)
    return Figure(ident, title, caption, drawing, table, legend, half)


def style(contender: str) -> str:
    """The class that colours a contender, the same in every plot."""
    known = {"torch": "c-torch", "onnxruntime_fp32": "c-ort", "result": "c-result", "artifact": "c-result"}
    return known.get(contender, "c-other")


def speedup_figure(report: Report, evidence: Evidence) -> Figure | None:
    """Speedups with their intervals, and the line where nothing is gained."""
    rows = [
        Row(f"{workload} vs {fmt.contender(base)}", "c-result", r.value, fmt.gain(r.value), r.low, r.high)
        for workload, base, r in tables.ratios(report, evidence)
    ]
    if not rows:
        return None
    budget = budgets.find(report, "min_speedup")
    limits = [Limit(1.0, "no gain", "zero")]
    if budget is not None:
        limits.append(Limit(budget, f"budget {fmt.factor(budget)}"))
    return figure(
        "speedup",
        tables.estimated("Gain in latency and throughput", report),
        "Points are ratios of median times taken in turn; bars are 95% intervals. Right of the dashed "
        "line the artifact is faster.",
        partial(_intervals, rows=rows, title="times as fast, log scale", limits=limits, log=True),
        table=tables.speedups(report, evidence),
        half=False,
    )


def _intervals(
    width: float, *, rows: list[Row], title: str, limits: list[Limit], log: bool = False
) -> Drawing:
    return intervals(rows, title=title, width=width, limits=limits, log=log)


def measured_figures(report: Report) -> list[Figure]:
    """One bar plot for each of the figures that contenders differ in."""
    found = [size_figure(report), latency_figure(report)]
    found += [
        _bar_figure(report, key, title, f"{unit}; higher is better.", unit)
        for key, title, unit in (
            ("throughput_per_s", "Throughput", "items a second"),
            ("decode_tokens_per_s", "Decoded tokens", "tokens a second"),
            ("prefill_tokens_per_s", "Prefill tokens", "tokens a second"),
        )
    ]
    found.append(_memory_figure(report))
    return [one for one in found if one is not None]


def size_figure(report: Report) -> Figure:
    """Megabytes on disk of every contender."""
    rows = [
        Row(fmt.contender(name), style(name), figures.size_bytes / 1e6, fmt.size(figures.size_bytes))
        for name, figures in tables.contenders(report)
    ]
    budget = budgets.find(report, "max_size")
    limits = [] if budget is None else [Limit(budget / 1e6, f"budget {fmt.size(budget)}")]
    caption = "Bytes of the model's files on disk, in millions; less is better."
    return figure("size", "Size", caption, partial(_bars, rows=rows, title="MB", limits=limits))


def latency_figure(report: Report) -> Figure | None:
    """Median time of one call, with a whisker to the 95th percentile."""
    rows = [
        Row(fmt.contender(name), style(name), one.p50, fmt.milliseconds(one.p50), one.p50, one.p95)
        for name, figures in tables.contenders(report)
        if (one := figures.latency_ms) is not None
    ]
    caption = "Time of one call at batch 1: bars are medians, whiskers the 95th percentiles; less is better."
    title = tables.estimated("Latency", report)
    budget = budgets.find(report, "max_latency")
    limits = [] if budget is None else [Limit(budget, f"budget {fmt.milliseconds(budget)}")]
    draw = partial(_bars, rows=rows, title="milliseconds", limits=limits)
    return figure("latency", title, caption, draw) if rows else None


def _memory_figure(report: Report) -> Figure | None:
    rows = [
        Row(fmt.contender(name), style(name), rss / 1e6, fmt.size(rss))
        for name, figures in tables.contenders(report)
        if (rss := figures.peak_rss_bytes) is not None
    ]
    caption = "Largest resident memory of a process that loads the model and runs it; less is better."
    title = tables.estimated("Peak memory", report)
    budget = budgets.find(report, "max_memory")
    limits = [] if budget is None else [Limit(budget / 1e6, f"budget {fmt.size(budget)}")]
    draw = partial(_bars, rows=rows, title="MB", limits=limits)
    return figure("memory", title, caption, draw) if rows else None


def _bar_figure(report: Report, key: str, title: str, caption: str, unit: str) -> Figure | None:
    rows = [
        Row(fmt.contender(name), style(name), value, fmt.significant(value))
        for name, figures in tables.contenders(report)
        if (value := fmt.figure(figures, key)) is not None
    ]
    ident = key.split("_")[0]
    title = tables.estimated(title, report)
    draw = partial(_bars, rows=rows, title=unit, limits=[])
    return figure(ident, title, caption.capitalize(), draw) if rows else None


def _bars(width: float, *, rows: list[Row], title: str, limits: list[Limit]) -> Drawing:
    return bars(rows, title=title, width=width, limits=limits)


def accuracy_figure(report: Report) -> Figure | None:
    """The drop with its one-sided bound, and the budget."""
    found = report.accuracy
    if found is None:
        return None
    unit = "percent" if fmt.is_relative(found.metric) else "points"
    ends = [100 * value for value in (found.drop, found.drop_upper_95)]
    text = f"{fmt.drop(found.drop, found.metric)}, at most {fmt.drop(found.drop_upper_95, found.metric)}"
    rows = [Row("drop", "c-result", ends[0], text, ends[0], ends[1])]
    limits = [Limit(0.0, "no loss", "zero")]
    budget = budgets.find(report, "max_drop")
    if budget is not None:
        limits.append(Limit(100 * budget, f"budget {fmt.drop(budget, found.metric)}"))
    return figure(
        "accuracy",
        f"Loss of {fmt.metric_name(found.metric)}",
        f"Paired over {found.items:,} items: the point is the measured drop, the bar reaches to its "
        "one-sided 95% upper bound, which the gate compares. Left of the dashed line the artifact is better.",
        partial(_intervals, rows=rows, title=f"{unit} lost", limits=limits),
        table=tables.accuracy(report),
        half=False,
    )


def sample_figures(samples: Sequence[Samples]) -> list[Figure]:
    """Every raw time, one plot a workload."""
    workloads = dict.fromkeys((one.workload, one.batch, one.length) for one in samples)
    return [
        _samples(number, [one for one in samples if (one.workload, one.batch, one.length) == key])
        for number, key in enumerate(workloads, 1)
    ]


def _samples(number: int, samples: list[Samples]) -> Figure:
    first = samples[0]
    ordered = sorted(samples, key=lambda one: _rank(one.contender))
    most = max(len(one.seconds) for one in samples)
    which = "Every call is a dot" if most <= MOST_DOTS else f"Dots are calls, {MOST_DOTS} a row at most"
    rows = [_sample_row(one) for one in ordered if one.seconds]
    what = f"{fmt.clean(first.workload)}: batch {first.batch}, length {first.length}"
    return figure(
        f"samples-{number}",
        what.capitalize(),
        f"{which}; within a row the first is at the top and the last at the bottom, so that "
        "drift and second modes show. Lines are medians.",
        partial(_strips, rows=rows),
        table=_sample_table(ordered),
    )


def _rank(contender: str) -> int:
    order = ("torch", "onnxruntime_fp32", "result", "artifact")
    return order.index(contender) if contender in order else len(order)


def _sample_row(one: Samples) -> Row:
    times = tuple(1e3 * second for second in one.seconds)
    shown = times[:: -(-len(times) // MOST_DOTS)]
    return Row(fmt.contender(one.contender), style(one.contender), percentile(times, 50), samples=shown)


def _strips(width: float, *, rows: list[Row]) -> Drawing:
    """On a log scale where a slow contender would press the others into a line."""
    medians = [row.value for row in rows if row.value > 0]
    log = bool(medians) and max(medians) > _FAR * min(medians)
    title = "milliseconds a call, log scale" if log else "milliseconds a call"
    return strips(rows, title=title, width=width, log=log)


def _sample_table(samples: list[Samples]) -> Table:
    rows = []
    for one in samples:
        times = [1e3 * second for second in one.seconds]
        marks = [percentile(times, percent) for percent in (5, 50, 95)]
        cells = [Cell(fmt.milliseconds(mark), mark) for mark in marks]
        rows.append((Cell(fmt.contender(one.contender)), Cell(f"{len(times):,}", len(times)), *cells))
    return Table("Raw times", ("contender", "calls", "5%", "median", "95%"), tuple(rows))


def percentile(values: tuple[float, ...] | list[float], percent: int) -> float:
    """The percentile of `values` by linear interpolation (as NumPy's default); NaN for none."""
    if len(values) < 2:
        return values[0] if values else float("nan")
    return quantiles(values, n=100, method="inclusive")[percent - 1]
