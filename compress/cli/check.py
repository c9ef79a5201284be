"""`compress check`: gate a saved report against budgets, without measuring again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from compress.cli import options as o
from compress.cli.console import Console
from compress.cli.files import Files
from compress.core.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from compress.core.outcome import JobOutcome
    from compress.core.report import Evidence, Gate, Report
    from compress.pipeline.gate import Budgets

Value = TypeVar("Value")

_SAVED = {"pass": ExitCode.OK, "fail": ExitCode.BUDGET_MISSED, "inconclusive": ExitCode.INCONCLUSIVE}


def check(
    artifact: o.ArtifactFolder,
    max_drop: o.MaxDrop = None,
    min_speedup: o.MinSpeedup = None,
    max_size: o.MaxSize = None,
    max_latency: o.MaxLatency = None,
    max_memory: o.MaxMemory = None,
    against: Annotated[
        Path | None,
        typer.Option(metavar="OLD", help="An older artifact: fail where something got worse."),
    ] = None,
    summary: o.Summary = None,
    junit: o.Junit = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> int:
    """Gate the saved report of ARTIFACT: exit 0 within budget, 1 over it, 4 undecided.

    Without budgets and without an older artifact the verdict that was saved stands.
    """
    flags = {
        name: value
        for name, value in locals().items()
        if name.startswith(("max_", "min_")) and value is not None
    }
    del debug
    from compress.report.files import read_report

    saved, evidence = read_report(artifact)
    gates = [_judge(saved, flags)] if flags else []
    gates += [_regressions(artifact, against)] if against else []
    gate, code = _together(gates) if gates else (saved.gate, _SAVED[saved.gate.verdict])
    console = Console(as_json=json, verbosity=-quiet)
    judged = saved.model_copy(update={"gate": gate})
    Files(summary=summary, junit=junit).write([_outcome(artifact, judged, evidence, code)])
    _show(judged, console)
    _advise(saved, flags, gate, console)
    return int(code)


def _together(gates: Sequence[Gate]) -> tuple[Gate, ExitCode]:
    from compress.pipeline.gate import exit_code
    from compress.pipeline.regress import together

    gate = together([line for one in gates for line in one.budgets])
    return gate, exit_code(gate, user_set={line.name for line in gate.budgets})


def _regressions(artifact: Path, against: Path) -> Gate:
    from compress.pipeline.regress import regressions
    from compress.report.files import read_report

    (new, found), (old, before) = read_report(artifact), read_report(against)
    return regressions(new, old, data=(found.data, before.data))


def _outcome(artifact: Path, report: Report, evidence: Evidence, code: ExitCode) -> JobOutcome:
    from compress.core.outcome import JobOutcome

    return JobOutcome(
        model=report.model.ref,
        target=report.target.profile,
        exit_code=code,
        report=report,
        evidence=evidence,
        folder=str(artifact),
    )


def _advise(report: Report, flags: dict[str, str], gate: Gate, console: Console) -> None:
    """Where accuracy is undecided: how many items would decide it."""
    from compress.core.units import parse_max_drop
    from compress.pipeline.gate import items_needed

    undecided = any(line.name == "max_drop" and line.verdict == "inconclusive" for line in gate.budgets)
    if undecided and report.accuracy is not None and "max_drop" in flags:
        items = items_needed(report.accuracy, parse_max_drop(flags["max_drop"]))
        if items is not None:
            console.note(f"about {items:,} items would decide it, if more of them show the same")


def _judge(report: Report, flags: dict[str, str]) -> Gate:
    from compress.pipeline.gate import judge

    return judge(_budgets(flags), report)


def _budgets(flags: dict[str, str]) -> Budgets:
    from compress.core.units import parse_duration_ms, parse_max_drop, parse_ratio, parse_size
    from compress.pipeline.gate import Budgets

    return Budgets(
        max_drop=_parsed(flags.get("max_drop"), parse_max_drop),
        min_speedup=_parsed(flags.get("min_speedup"), parse_ratio),
        max_size=_parsed(flags.get("max_size"), parse_size),
        max_latency_ms=_parsed(flags.get("max_latency"), parse_duration_ms),
        max_memory=_parsed(flags.get("max_memory"), parse_size),
        set_by_user=frozenset(flags),
    )


def _parsed(text: str | None, parse: Callable[[str], Value]) -> Value | None:
    return None if text is None else parse(text)


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
