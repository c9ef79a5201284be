"""`compress sample`: text that a language model writes by itself, to calibrate and to heal on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from compress.cli import options as o
from compress.cli.console import Console


def sample(
    model: o.Model,
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write (.jsonl).")],
    count: Annotated[int, typer.Option(min=1, help="Texts.")] = 320,
    length: Annotated[int, typer.Option(min=8, help="Tokens of each.")] = 256,
    like: Annotated[
        list[str] | None,
        typer.Option(
            help="Text whose words are begun with. May be given several times.",
            show_default="the shipped sample, English",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of every random choice.")] = 0,
    task: o.Task = None,
    offline: o.Offline = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
    debug: o.Debug = False,
) -> None:
    """Write texts that MODEL, a language model, expects: for --calibration, where own text is short."""
    console = Console(as_json=json, verbosity=verbose - quiet)
    del debug
    from compress.model.resolve import resolve
    from compress.pipeline.cache import cache_folder
    from compress.pipeline.sampled import Wanted, refuse_out, sample_to

    refuse_out(out)
    found = resolve(model, task=task, offline=offline, cache=cache_folder(), note=console.note)
    wanted = Wanted(count=count, length=length, like=tuple(like or ()), seed=seed)
    sample_to(found, out, wanted, offline=offline, progress=console)
    if json:
        console.json({"file": str(out), "texts": count, "tokens": count * length})
        return
    console.out(str(out))
    console.note(f"for: compress run {model} --calibration {out}")


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(sample)
