"""The summary that `compress run` ends with, as rich renderables. ASCII, so that any log can hold it."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from compress.core.visible import visible
from compress.report import format as fmt
from compress.report import tables
from compress.report.headline import headline
from compress.report.target import sentence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from compress.core.report import Evidence, Ratio, Report
    from compress.report.tables import Cell

STYLES = {"pass": "bold green", "fail": "bold red", "inconclusive": "bold yellow"}
_SHORT = {"torch": "PyTorch", "onnxruntime_fp32": "ORT fp32", "result": "artifact"}
_WORKLOADS = {"latency_ms.p50": "latency", "throughput_per_s": "throughput", "decode_tokens_per_s": "decode"}
_RISING = ("throughput_per_s", "prefill_tokens_per_s", "decode_tokens_per_s")


def summary(report: Report, evidence: Evidence, *, folder: str | None = None) -> list[RenderableType]:
    """The verdict, before and after, the budgets, what makes the figures less certain, and the folder that
    was published (None: nothing was).
    """
    parts: list[RenderableType] = [verdict(report), before_after(report, evidence)]
    if report.gate.budgets:
        parts.append(rich_table(tables.budgets(report)))
    if words := sentence(report.target):
        parts.append(Text(fmt.plain(words)))
    parts += [Text(f"note: {fmt.plain(fmt.clean(line))}", "yellow") for line in evidence.noise]
    if folder is not None:
        parts.append(Text.assemble("published in ", (folder, "bold"), f", see {folder}/report.html"))
    return parts


def as_text(renderables: Sequence[RenderableType], width: int = 100) -> str:
    """Renderables as plain text, for files."""
    file = StringIO()
    console = Console(file=file, width=width, color_system=None)
    for renderable in renderables:
        console.print(renderable)
    text = visible(file.getvalue(), keep="\n")
    return "\n".join(line.rstrip() for line in text.split("\n")).rstrip("\n") + "\n"


def verdict(report: Report) -> Text:
    """The verdict and its reason; names of models are text here, never markup."""
    words = headline(report)
    text = Text(f"{words.word.upper()}  ", STYLES[words.verdict])
    text.append(f"{fmt.plain(words.first)}\n", "bold")
    return text.append(fmt.plain(words.second), "default")


def before_after(report: Report, evidence: Evidence) -> RichTable:
    """One row a figure, one column a contender, as many as a line holds, then the gain over each."""
    shown = [one for one in tables.contenders(report) if one[0] in _SHORT]
    baselines = [name for name, _ in shown[:-1]]
    table = _empty()
    table.add_column("")
    for name, _ in shown:
        table.add_column(_SHORT[name], justify="right", style="bold" if name == "result" else "")
    for name in baselines:
        table.add_column(f"vs {_SHORT[name]}", justify="right")
    for key, label, write in fmt.FIGURES:
        values = [fmt.figure(figures, key) for _, figures in shown]
        if any(value is not None for value in values):
            gains = [_gain(report, evidence, key, name) for name in baselines]
            label = tables.estimated(_short(label), report)
            _add(table, [label, *(write(value) for value in values), *gains])
    _add_accuracy(table, report, baselines)
    return table


def _gain(report: Report, evidence: Evidence, key: str, baseline: str) -> str:
    """How many times better: with its interval where times were taken in turn."""
    ratio = _measured(report, evidence, _WORKLOADS.get(key, ""), baseline)
    if ratio is not None:
        return fmt.interval(ratio)
    figures = {"torch": report.baselines.torch, "onnxruntime_fp32": report.baselines.onnxruntime_fp32}
    before, after = fmt.figure(figures[baseline], key), fmt.figure(report.result, key)
    if not before or not after:
        return ""
    worse = {"size_bytes": "larger", "peak_rss_bytes": "more"}.get(key, "slower")
    return fmt.gain(after / before if key in _RISING else before / after, worse)


def _measured(report: Report, evidence: Evidence, workload: str, baseline: str) -> Ratio | None:
    found = (r for w, b, r in tables.ratios(report, evidence) if (w, b) == (workload, baseline))
    return next(found, None)


def _add_accuracy(table: RichTable, report: Report, baselines: Sequence[str]) -> None:
    found = report.accuracy
    if found is None:
        return
    name = fmt.metric_name(found.metric) + (" (fidelity)" if found.kind == "fidelity" else "")
    before = [fmt.score(found.baseline)] + [""] * (len(baselines) - 1) if baselines else []
    lost = f"{fmt.drop(found.drop, found.metric)} lost (<= {fmt.drop(found.drop_upper_95, found.metric)})"
    last = [""] * (len(baselines) - 1) + [lost] if baselines else []
    _add(table, [name, *before, fmt.score(found.result), *last])


def rich_table(table: tables.Table) -> RichTable:
    """A table of the report for the terminal, coloured by verdict."""
    shown = _empty()
    for column in table.columns:
        shown.add_column(fmt.plain(column), justify="left")
    for row in table.rows:
        shown.add_row(*(_cell(cell) for cell in row))
    return shown


def _cell(cell: Cell) -> Text:
    return Text(fmt.plain(cell.text), STYLES.get(cell.tone, ""))


def _add(table: RichTable, texts: Sequence[str]) -> None:
    table.add_row(*(Text(fmt.plain(text)) for text in texts))


def _empty() -> RichTable:
    return RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), header_style="dim")


def _short(label: str) -> str:
    return label.replace(", 95th percentile", " p95").replace(", median", " p50")
