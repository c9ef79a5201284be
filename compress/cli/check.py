"""`compress check`: gate a saved report against budgets, without measuring again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compress.cli import options as o
from compress.cli.console import Console
from compress.core.errors import ExitCode

if TYPE_CHECKING:
    import typer

    from compress.core.report import Gate, Report
    from compress.pipeline.gate import Budgets

_SAVED = {"pass": ExitCode.OK, "fail": ExitCode.BUDGET_MISSED, "inconclusive": ExitCode.INCONCLUSIVE}


def check(
    artifact: o.ArtifactFolder,
    max_drop: o.MaxDrop = None,
    min_speedup: o.MinSpeedup = None,
    max_size: o.MaxSize = None,
    max_latency: o.MaxLatency = None,
    max_memory: o.MaxMemory = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> int:
    """Gate the saved report of ARTIFACT: exit 0 within budget, 1 over it, 4 undecided.

    Without budgets the verdict that was saved stands.
    """
    flags = {
        name: value
        for name, value in locals().items()
        if name.startswith(("max_", "min_")) and value is not None
    }
    del debug
    from compress.report.files import read_report

    saved, _ = read_report(artifact)
    gate, code = (saved.gate, _SAVED[saved.gate.verdict]) if not flags else _judge(saved, flags)
    _show(saved.model_copy(update={"gate": gate}), Console(as_json=json, verbosity=-quiet))
    return int(code)


def _judge(report: Report, flags: dict[str, str]) -> tuple[Gate, ExitCode]:
    from compress.pipeline.gate import exit_code, judge

    budgets = _budgets(flags)
    gate = judge(budgets, accuracy=report.accuracy, figures=report.result, speedup=report.speedup)
    return gate, exit_code(gate, budgets.set_by_user)


def _budgets(flags: dict[str, str]) -> Budgets:
    from compress.core.units import parse_duration_ms, parse_max_drop, parse_ratio, parse_size
    from compress.pipeline.gate import Budgets

    parsers = {
        "max_drop": ("max_drop", parse_max_drop),
        "min_speedup": ("min_speedup", parse_ratio),
        "max_size": ("max_size", parse_size),
        "max_latency": ("max_latency_ms", parse_duration_ms),
        "max_memory": ("max_memory", parse_size),
    }
    parsed = {parsers[name][0]: parsers[name][1](text) for name, text in flags.items()}
    return Budgets(**parsed, set_by_user=frozenset(flags))


def _show(report: Report, console: Console) -> None:
    if console.as_json:
        console.json(report.gate.model_dump(mode="json"))
        return
    from compress.report.tables import budgets
    from compress.report.terminal import rich_table, verdict

    console.print(verdict(report))
    if report.gate.budgets:
        console.print(rich_table(budgets(report)))


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(check)
