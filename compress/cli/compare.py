"""`compress compare`: models side by side, on the same rows, in turn."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from compress.cli import options as o
from compress.cli.console import Console
from compress.cli.device import reached
from compress.cli.files import write_file


def compare(
    subjects: Annotated[
        list[str],
        typer.Argument(
            metavar="ARTIFACT|MODEL...",
            help="Others are compared with the first, without labels with the uncompressed one.",
        ),
    ],
    target: o.Target = None,
    task: o.Task = None,
    data: o.Data = None,
    column: o.Column = None,
    label_map: o.LabelMap = None,
    metric: o.Metric = None,
    watts: o.Watts = None,
    price_per_hour: o.Price = None,
    limit: o.Limit = None,
    seconds: o.Seconds = None,
    remote: o.Remote = None,
    remote_python: o.RemotePython = "python3",
    seed: o.Seed = None,
    html: Annotated[
        Path | None, typer.Option(help="A page to write, without scripts.", show_default=False)
    ] = None,
    offline: o.Offline = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
    debug: o.Debug = False,
) -> None:
    """Compare artifacts and models: size, speed and accuracy on the same items, and which to take."""
    flags = {name: value for name, value in locals().items() if name in o.COMPARE_SETTINGS}
    console = Console(as_json=json, verbosity=verbose - quiet)
    del debug
    from compress.core.settings import current
    from compress.pipeline.compare import compare as run_compare
    from compress.pipeline.subjects import find_subject

    values = current(flags).values
    find = partial(find_subject, task=task, offline=values.offline, note=console.note)
    named = [find(ref) for ref in subjects]
    with reached(remote, remote_python) as device:
        found = run_compare(named, values, progress=console, device=device)
    if html is not None:
        from compress.report.comparison_page import render_comparison

        write_file(html, render_comparison(found), mode="w")
        console.note(f"wrote {html}")
    if json:
        console.json(found.model_dump(mode="json"))
        return
    from compress.report import comparison as page
    from compress.report import format as fmt
    from compress.report.names import with_short_names
    from compress.report.target import sentence
    from compress.report.terminal import rich_table

    found = with_short_names(found)
    others = [page.speedups(found)] if len(found.models) > 1 else []
    costs = page.costs(found)
    for one in [page.table(found), *others, *([costs] if costs.rows else [])]:
        console.out(fmt.plain(one.title))
        console.print(rich_table(one))
    if len(found.models) > 1:
        console.out(fmt.plain(page.best(found)))
    if words := sentence(found.target):
        console.out(fmt.plain(words))
    for line in [*found.noise, *found.notes]:
        console.note(f"note: {line}")


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(compare)
