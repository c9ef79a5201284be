"""`compress compare --html`: the comparison as one file, without scripts and without the network."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from compress.report import comparison as words
from compress.report import format as fmt
from compress.report.charts import Limit, Row, bars, intervals
from compress.report.figures import figure, sample_figures
from compress.report.html import render_page
from compress.report.names import with_short_names
from compress.report.target import sentence

if TYPE_CHECKING:
    from compress.core.comparison import Comparison
    from compress.report.figures import Figure
    from compress.report.plot import Drawing

_NAME = 28


def render_comparison(comparison: Comparison) -> str:
    """The page. Every text from outside is escaped by the template engine."""
    found = with_short_names(comparison)
    context = {
        "found": found,
        "best": words.best(found),
        "conditions": sentence(found.target),
        "models": words.table(found),
        "speedups": words.speedups(found),
        "costs": words.costs(found),
        "speed": _speedups(found),
        "accuracy": _losses(found),
        "bars": _bars(found),
        "samples": sample_figures(found.samples),
        "facts": fmt.facts(found.data),
    }
    return render_page("comparison.html.j2", context)


def _speedups(found: Comparison) -> list[Figure]:
    rows = [
        Row(f"{_short(one.name)}, {workload}", "c-result", r.value, fmt.gain(r.value), r.low, r.high)
        for one in found.models[1:]
        for workload, r in (one.speedup or {}).items()
    ]
    if not rows:
        return []
    caption = "Points are ratios of times taken in turn, bars 95% intervals; right of the line is faster."
    limits = [Limit(1.0, "as fast", "zero")]
    draw = partial(_intervals, rows=rows, title="times as fast, log scale", limits=limits, log=True)
    title = f"Against {_short(found.models[0].name)}" + _estimated(found)
    return [figure("speedups", title, caption, draw, half=False)]


def _losses(found: Comparison) -> list[Figure]:
    rows = []
    for one in found.models[1:]:
        standing = one.standing
        if standing is not None and standing.drop is not None and standing.high is not None:
            low = standing.drop if standing.low is None else standing.low
            ends = [100 * value for value in (standing.drop, low, standing.high)]
            rows.append(Row(_short(one.name), "c-result", ends[0], words.lost(standing), ends[1], ends[2]))
    first = found.models[0].standing
    if not rows or first is None:
        return []
    caption = (
        f"Paired over the same {first.items:,} items: points are what is lost against "
        f"{_short(found.models[0].name)}, each end of a bar holds with 95%. Left of the line is better."
    )
    unit = "percent" if fmt.is_relative(first.metric) else "points"
    limits = [Limit(0.0, "no loss", "zero")]
    draw = partial(_intervals, rows=rows, title=f"{unit} lost", limits=limits)
    return [figure("losses", f"Loss of {fmt.metric_name(first.metric)}", caption, draw, half=False)]


def _intervals(
    width: float, *, rows: list[Row], title: str, limits: list[Limit], log: bool = False
) -> Drawing:
    return intervals(rows, title=title, width=width, limits=limits, log=log)


def _bars(found: Comparison) -> list[Figure]:
    latency = ("latency_ms.p50", "Latency, median", "milliseconds", 1.0, fmt.milliseconds, "less")
    kinds = (
        ("size_bytes", "Size", "MB", 1e-6, fmt.size, "less"),
        ("time_to_first_token_ms", "Time to first token", "milliseconds", 1.0, fmt.milliseconds, "less"),
        *(() if words.decodes(found) else (latency,)),
        ("throughput_per_s", "Throughput", "items a second", 1.0, fmt.rate, "more"),
        ("decode_tokens_per_s", "Decoded tokens", "tokens a second", 1.0, fmt.rate, "more"),
        ("peak_rss_bytes", "Peak memory", "MB", 1e-6, fmt.size, "less"),
    )
    figures = []
    for key, title, unit, scale, write, better in kinds:
        values = [(one.name, fmt.figure(one.figures, key)) for one in found.models]
        rows = [Row(_short(name), "c-result", v * scale, write(v)) for name, v in values if v is not None]
        if rows:
            marked = title if key == "size_bytes" else title + _estimated(found)
            draw = partial(_bar, rows=rows, title=unit)
            figures.append(figure(key.split(".")[0], marked, f"{better.capitalize()} is better.", draw))
    return figures


def _bar(width: float, *, rows: list[Row], title: str) -> Drawing:
    return bars(rows, title=title, width=width, limits=[])


def _estimated(found: Comparison) -> str:
    return "" if found.target.measured else " (estimated)"


def _short(name: str) -> str:
    """The end of a long name, which tells folders apart."""
    text = fmt.clean(name, 200)
    return text if len(text) <= _NAME else f"\u2026{text[1 - _NAME :]}"
