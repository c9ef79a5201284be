"""Several runs in one table, for the terminal and for a job's summary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compress.core.errors import ExitCode
from compress.report import format as fmt
from compress.report.headline import WORDS, size_ratio
from compress.report.markdown import escape, markdown_table, render_markdown
from compress.report.tables import Cell, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compress.core.outcome import JobOutcome
    from compress.core.report import Report, Verdict

_COLUMNS = (
    "model",
    "target",
    "verdict",
    "size",
    "smaller",
    "throughput vs fp32",
    "accuracy lost",
    "artifact",
)
_TONES: dict[ExitCode, Verdict] = {
    ExitCode.OK: "pass",
    ExitCode.BUDGET_MISSED: "fail",
    ExitCode.INCONCLUSIVE: "inconclusive",
}


def table(outcomes: Sequence[JobOutcome]) -> Table:
    """One row a run."""
    return Table("Runs", _COLUMNS, tuple(_row(one) for one in outcomes))


def markdown(outcomes: Sequence[JobOutcome]) -> str:
    """For `$GITHUB_STEP_SUMMARY`: the table where there are several, then each run's own page or error."""
    parts = [f"## compress\n\n{markdown_table(table(outcomes))}"] if len(outcomes) > 1 else []
    return "\n\n".join([*parts, *(_page(one).rstrip("\n") for one in outcomes)]) + "\n"


def _page(one: JobOutcome) -> str:
    if one.report is not None and one.evidence is not None:
        return render_markdown(one.report, one.evidence)
    hint = f"\n\n{escape(one.hint)}" if one.hint else ""
    return f"## ❌ {escape(one.name)}\n\n**{escape(one.error)}**{hint}\n"


def _row(one: JobOutcome) -> tuple[Cell, ...]:
    first = (Cell(fmt.clean(one.model, 80)), Cell(fmt.clean(one.target, 60)), _verdict(one))
    if one.report is None:
        return (*first, *[Cell(fmt.ABSENT)] * 4, Cell(fmt.clean(one.error, 160)))
    return (*first, *_figures(one.report), Cell(one.folder or "not published"))


def _verdict(one: JobOutcome) -> Cell:
    tone = _TONES.get(one.exit_code)
    return Cell(WORDS[tone].lower(), tone=tone) if tone else Cell("error", tone="fail")


def _figures(report: Report) -> tuple[Cell, ...]:
    ratio, found = report.speedup.vs_onnxruntime_fp32, report.accuracy
    marked = "" if report.target.measured else " (estimated)"
    lost = fmt.ABSENT
    if found is not None:
        bound = fmt.drop(found.drop_upper_95, found.metric)
        lost = f"{fmt.drop(found.drop, found.metric)} ({fmt.AT_MOST} {bound})"
    return (
        Cell(fmt.size(report.result.size_bytes), report.result.size_bytes),
        Cell(fmt.factor(size_ratio(report))),
        Cell(fmt.interval(ratio) + (marked if ratio else "")),
        Cell(lost),
    )
