"""`compress vote`: accuracy of the majority of several samples, against what they cost."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from compress.cli import options as o
from compress.cli.console import Console


def vote(
    subjects: Annotated[
        list[str],
        typer.Argument(metavar="ARTIFACT...", help="Decoders; the first is what others are compared with."),
    ],
    data: o.Data = None,
    column: o.Column = None,
    samples: Annotated[int, typer.Option(min=1, help="Answers of each model to each question.")] = 8,
    tokens: Annotated[int, typer.Option(min=1, help="Tokens of an answer, at most.")] = 64,
    temperature: Annotated[float, typer.Option(min=0.01, help="Of the sampling.")] = 0.7,
    chat: Annotated[
        bool, typer.Option("--chat", help="Put questions into the model's chat template.")
    ] = False,
    target: o.Target = None,
    watts: o.Watts = None,
    price_per_hour: o.Price = None,
    limit: o.Limit = None,
    seed: o.Seed = None,
    offline: o.Offline = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
    debug: o.Debug = False,
) -> None:
    """Let decoders answer questions several times: how right the majority is, and at equal cost."""
    flags = {name: value for name, value in locals().items() if name in o.VOTE_SETTINGS}
    console = Console(as_json=json, verbosity=verbose - quiet)
    del debug
    from compress.core.settings import current
    from compress.measure.voting import Sampling
    from compress.pipeline.subjects import find_subject
    from compress.pipeline.vote import counts
    from compress.pipeline.vote import vote as run_vote

    values = current(flags).values
    find = partial(find_subject, task=None, offline=values.offline, note=console.note)
    how = Sampling(samples=samples, tokens=tokens, temperature=temperature, chat=chat, seed=values.seed)
    found = run_vote([find(ref) for ref in subjects], values, how, progress=console)
    if json:
        console.json(found.model_dump(mode="json"))
        return
    from compress.report import format as fmt
    from compress.report import voting
    from compress.report.terminal import rich_table

    shown = [voting.models(found), voting.curve(found, counts(samples)), voting.equal_cost(found)]
    for one in shown:
        if one.rows:
            console.out(fmt.plain(one.title))
            console.print(rich_table(one))
    for line in found.noise:
        console.note(f"note: {line}")


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(vote)
