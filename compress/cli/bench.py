"""`compress bench`: time artifacts and models in turn."""

from __future__ import annotations

from typing import Annotated

import typer

from compress.cli import options as o
from compress.cli.console import Console
from compress.cli.device import reached


def bench(
    subjects: Annotated[
        list[str],
        typer.Argument(metavar="ARTIFACT|MODEL...", help="The first is what others are compared with."),
    ],
    target: o.Target = None,
    task: o.Task = None,
    seconds: o.Seconds = None,
    prompt: Annotated[
        str | None, typer.Option("--prompt", help="Show what decoders write after this, before the timing.")
    ] = None,
    chat: Annotated[
        bool, typer.Option("--chat", help="Put the prompt into the model's chat template.")
    ] = False,
    tokens: Annotated[int, typer.Option("--tokens", help="Tokens to write after the prompt.")] = 64,
    remote: o.Remote = None,
    remote_python: o.RemotePython = "python3",
    seed: o.Seed = None,
    offline: o.Offline = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
    debug: o.Debug = False,
) -> None:
    """Time artifacts and models in turn, here or on a device, at the target's workloads."""
    console = Console(as_json=json, verbosity=verbose - quiet)
    del debug
    from compress.cli.generation import show
    from compress.core.profile import load_profile
    from compress.core.settings import current
    from compress.pipeline.again import bench as run_bench
    from compress.pipeline.subjects import find_subject

    flags = {"target": target, "seconds": seconds, "seed": seed, "offline": offline}
    values = current(flags).values
    found = [find_subject(ref, task=task, offline=values.offline, note=console.note) for ref in subjects]
    written = {}
    if prompt:
        for one in found:
            if one.runtime != "torch":
                written[one.name] = show(one, prompt, tokens=tokens, chat=chat, console=console)
    profile = load_profile(values.target)
    with reached(remote, remote_python) as device:
        document = run_bench(
            found, profile, seconds=values.seconds, seed=values.seed, progress=console, device=device
        )
    if json:
        console.json({**document, "generations": written} if written else document)
    else:
        from compress.cli.tables import bench_tables

        console.print(*bench_tables(document))
        for sentence in document["noise"]:
            console.note(f"note: {sentence}")


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(bench)
