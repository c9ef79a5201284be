"""`compress plan`: what `run` would do, without reading a weight."""

from __future__ import annotations

import typer

from compress.cli import options as o
from compress.cli.console import Console


def plan(
    model: o.Model,
    target: o.Target = None,
    recipe: o.RecipeName = None,
    preset: o.PresetName = None,
    task: o.Task = None,
    data: o.Data = None,
    column: o.Column = None,
    label_map: o.LabelMap = None,
    calibration: o.Calibration = None,
    max_drop: o.MaxDrop = None,
    min_speedup: o.MinSpeedup = None,
    max_size: o.MaxSize = None,
    max_latency: o.MaxLatency = None,
    max_memory: o.MaxMemory = None,
    watts: o.Watts = None,
    price_per_hour: o.Price = None,
    out: o.Out = None,
    offline: o.Offline = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
    debug: o.Debug = False,
) -> None:
    """Show what `run` would do with MODEL, and where each setting came from."""
    flags = {name: value for name, value in locals().items() if name in o.PLAN_SETTINGS}
    flags["out"] = str(out) if out else None
    console = Console(as_json=json, verbosity=verbose - quiet)
    del debug
    from compress.core.settings import current
    from compress.pipeline.plan import describe, make_plan
    from compress.pipeline.splits import kept_by_recipe

    found = make_plan(model, current(flags), note=console.note)
    document = describe(found, kept=kept_by_recipe(found, note=console.note))
    if json:
        console.json(document)
    else:
        from compress.cli.tables import plan_tables

        console.print(*plan_tables(document))


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(plan)
