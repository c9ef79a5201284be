"""`compress run`: the main job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from compress.cli import options as o
from compress.cli.console import Console
from compress.cli.device import reached
from compress.cli.files import Files
from compress.core.errors import CompressError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from compress.core.outcome import JobOutcome
    from compress.core.report import Report
    from compress.measure.remote import Device


def run(
    model: o.OptionalModel = None,
    target: o.Target = None,
    recipe: o.RecipeName = None,
    preset: o.PresetName = None,
    task: o.Task = None,
    data: o.Data = None,
    column: o.Column = None,
    label_map: o.LabelMap = None,
    calibration: o.Calibration = None,
    metric: o.Metric = None,
    max_drop: o.MaxDrop = None,
    min_speedup: o.MinSpeedup = None,
    max_size: o.MaxSize = None,
    max_latency: o.MaxLatency = None,
    max_memory: o.MaxMemory = None,
    watts: o.Watts = None,
    price_per_hour: o.Price = None,
    out: o.Out = None,
    allow_chance: o.AllowChance = False,
    overwrite: Annotated[bool, typer.Option(help="Replace an artifact that is there.")] = False,
    allow_fp32: Annotated[
        bool, typer.Option("--allow-fp32", help="Publish the fp32 graph when nothing beats it.")
    ] = False,
    keep_failed: Annotated[
        bool,
        typer.Option(
            "--keep-failed", help="Report the folder of an artifact that missed its budget as the run's."
        ),
    ] = False,
    remote: o.Remote = None,
    remote_python: o.RemotePython = "python3",
    limit: o.Limit = None,
    seconds: o.Seconds = None,
    seed: o.Seed = None,
    summary: o.Summary = None,
    junit: o.Junit = None,
    offline: o.Offline = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
    debug: o.Debug = False,
) -> int:
    """Compress MODEL for a target, prove that it is still good, and publish the artifact.

    Without MODEL, every job of the project file (compress.yaml) is run: one table, one exit code.
    """
    flags = {name: value for name, value in locals().items() if name in o.RUN_SETTINGS}
    console = Console(as_json=json, verbosity=verbose - quiet)
    files = Files(summary=summary, junit=junit)
    if model is None:
        if remote:
            message = "--remote needs a MODEL: jobs of a project file are timed here"
            raise CompressError("usage", message, hint="name the model")
        return _project(flags, files, console, debug=debug)
    with reached(remote, remote_python) as device:
        return _one(model, flags, files, console, device)


def _one(model: str, flags: Mapping[str, Any], files: Files, console: Console, device: Device | None) -> int:
    from compress.api import run_settings
    from compress.core.settings import current
    from compress.pipeline.jobs import failed, finished

    target = current({"target": flags["target"]}).values.target
    try:
        outcome = run_settings(model, flags, progress=console, device=device)
    except CompressError as error:
        files.write([failed(model, target, error)])
        raise
    files.write([finished(model, target, outcome)])
    if console.as_json:
        console.json(outcome.report.model_dump(mode="json"))
    else:
        from compress.report.terminal import summary

        folder = str(outcome.folder) if outcome.folder and not outcome.kept else None
        console.print(*summary(outcome.report, outcome.evidence, folder=folder))
    if outcome.exit_code:
        console.error(*_reason(outcome.report, kept=outcome.kept))
    return outcome.exit_code


def _project(flags: Mapping[str, Any], files: Files, console: Console, *, debug: bool) -> int:
    from compress.api import run_project
    from compress.core.outcome import worst

    outcomes = run_project(flags, progress=console, strict=debug)
    files.write(outcomes)
    code = worst([one.exit_code for one in outcomes])
    if console.as_json:
        console.json({"exit_code": int(code), "jobs": [_job(one) for one in outcomes]})
    else:
        from compress.report.jobs import table
        from compress.report.terminal import rich_table

        console.print(rich_table(table(outcomes)))
    for one in outcomes:
        if one.error:
            console.error(f"{one.name}: {one.error}", one.hint)
        elif one.exit_code and one.report is not None:
            message, hint = _reason(one.report, kept=one.kept)
            console.error(f"{one.name}: {message}", hint)
    return int(code)


def _job(one: JobOutcome) -> dict[str, Any]:
    return {
        "model": one.model,
        "target": one.target,
        "exit_code": int(one.exit_code),
        "folder": one.folder,
        "error": one.error or None,
        "report": one.report.model_dump(mode="json") if one.report else None,
    }


def _reason(report: Report, *, kept: Path | str | None) -> tuple[str, str]:
    """Say which budget decided, with its number, and what to do.

    Args:
        report: the run's report.
        kept: where the artifact is that missed the budget.

    Returns:
        The message and the hint.
    """
    from compress.pipeline.gate import MIN_ITEMS
    from compress.report import budgets
    from compress.report import format as fmt

    line = next(line for line in report.gate.budgets if line.verdict == report.gate.verdict)
    code = {"fail": "budget-missed"}.get(line.verdict, "budget-undecided")
    value, bound = (fmt.plain(budgets.value(number, line, report)) for number in (line.value, line.bound))
    message = f"{line.name} is {value} (bound {bound}), the budget is {line.limit}"
    items = report.accuracy.items if report.accuracy else MIN_ITEMS
    if line.name == "max_drop" and code == "budget-undecided" and items < MIN_ITEMS:
        message = f"max_drop cannot be judged on {items} items of test data, at least {MIN_ITEMS} are needed"
    more = "give more data; " if code == "budget-undecided" and line.name == "max_drop" else ""
    hint = f"{more}nothing was published, the artifact is kept in {kept} until the next run of that name"
    return f"error[{code}]: {message}", hint


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(run)
