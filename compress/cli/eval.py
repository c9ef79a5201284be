"""`compress eval`: judge an artifact again, on other data."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from compress.cli import options as o
from compress.cli.console import Console


def evaluate(
    artifact: o.ArtifactFolder,
    against: Annotated[
        str | None, typer.Option("--against", help="Another artifact, whose answers are the reference.")
    ] = None,
    data: o.Data = None,
    column: o.Column = None,
    label_map: o.LabelMap = None,
    metric: o.Metric = None,
    harness: Annotated[
        str | None,
        typer.Option(metavar="TASK,TASK", help="Tasks of lm-evaluation-harness instead, of decoders."),
    ] = None,
    harness_tasks: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="Folder with YAML tasks of your own."),
    ] = None,
    limit: o.Limit = None,
    offline: o.Offline = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
    debug: o.Debug = False,
) -> None:
    """Judge ARTIFACT on data, by itself where the data has answers, or against another artifact."""
    console = Console(as_json=json, verbosity=verbose - quiet)
    del debug
    from compress.core.settings import current
    from compress.pipeline.again import evaluate_again
    from compress.pipeline.subjects import find_subject

    flags = {"data": data, "column": column, "label_map": label_map, "metric": metric, "limit": limit}
    flags |= {"offline": offline}
    values = current(flags).values
    find = partial(find_subject, task=None, offline=values.offline, note=console.note)
    subject, reference = find(str(artifact)), find(against) if against else None
    if harness:
        from compress.cli import harness_tasks as tasks

        subjects = [one for one in (subject, reference) if one is not None]
        tasks.show(subjects, harness.split(","), extra=harness_tasks, limit=values.limit, console=console)
        return
    accuracy = evaluate_again(subject, values, against=reference, progress=console)
    if json:
        console.json(accuracy.model_dump(mode="json"))
        return
    line = f"{accuracy.metric} ({accuracy.kind}) {accuracy.result:.4f} on {accuracy.items} items"
    if against:
        line += f"; {against}: {accuracy.baseline:.4f}, drop {accuracy.drop:.4f}"
        line += f", at most {accuracy.drop_upper_95:.4f} (95%)"
    console.out(line)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("eval")(evaluate)
