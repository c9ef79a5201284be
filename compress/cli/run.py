"""`compress run`: the main job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from compress.cli import options as o
from compress.cli.console import Console

if TYPE_CHECKING:
    from compress.core.report import Report


def run(
    model: o.Model,
    target: o.Target = None,
    recipe: o.RecipeName = None,
    preset: o.PresetName = None,
    task: o.Task = None,
    data: o.Data = None,
    column: o.Column = None,
    calibration: o.Calibration = None,
    metric: o.Metric = None,
    max_drop: o.MaxDrop = None,
    min_speedup: o.MinSpeedup = None,
    max_size: o.MaxSize = None,
    max_latency: o.MaxLatency = None,
    max_memory: o.MaxMemory = None,
    out: o.Out = None,
    overwrite: Annotated[bool, typer.Option(help="Replace an artifact that is there.")] = False,
    allow_fp32: Annotated[
        bool, typer.Option("--allow-fp32", help="Publish the fp32 graph when nothing beats it.")
    ] = False,
    keep_failed: Annotated[
        bool, typer.Option("--keep-failed", help="Say where an artifact that missed its budget is.")
    ] = False,
    limit: o.Limit = None,
    seconds: o.Seconds = None,
    seed: o.Seed = None,
    offline: o.Offline = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
    debug: o.Debug = False,
) -> int:
    """Compress MODEL for a target, prove that it is still good, and publish the artifact."""
    flags = {name: value for name, value in locals().items() if name in o.RUN_SETTINGS}
    console = Console(as_json=json, verbosity=verbose - quiet)
    del debug
    from compress.api import run_settings

    outcome = run_settings(model, flags, progress=console)
    if json:
        console.json(outcome.report.model_dump(mode="json"))
    else:
        from compress.report.terminal import summary

        folder = str(outcome.folder) if outcome.folder else None
        console.print(*summary(outcome.report, outcome.evidence, folder=folder))
    if outcome.exit_code:
        console.error(*_reason(outcome.report))
    return outcome.exit_code


def _reason(report: Report) -> tuple[str, str]:
    """Which budget decided, with its number, and what to do."""
    from compress.pipeline.gate import MIN_ITEMS

    line = next(line for line in report.gate.budgets if line.verdict == report.gate.verdict)
    code = {"fail": "budget-missed"}.get(line.verdict, "budget-undecided")
    message = f"{line.name} is {line.value:.4g} (bound {line.bound:.4g}), the budget is {line.limit}"
    items = report.accuracy.items if report.accuracy else MIN_ITEMS
    if line.name == "max_drop" and code == "budget-undecided" and items < MIN_ITEMS:
        message = f"max_drop cannot be judged on {items} items of test data, at least {MIN_ITEMS} are needed"
    kept = "nothing was published; --keep-failed keeps the artifact to look at"
    hint = "give more data" if code == "budget-undecided" and line.name == "max_drop" else kept
    return f"error[{code}]: {message}", hint


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(run)
