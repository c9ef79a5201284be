"""`compress inspect`: where the bytes of a model or an artifact are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compress.cli import options as o
from compress.cli.console import Console

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from compress.pipeline.contents import Part
    from compress.pipeline.savings import Saving
    from compress.pipeline.shares import Shares

Subject = Annotated[
    str, typer.Argument(metavar="MODEL|ARTIFACT", help="A model as `run` takes it, or what it published.")
]


def inspect(
    subject: Subject,
    task: o.Task = None,
    latency: Annotated[
        bool,
        typer.Option("--latency", help="Also measure here where the time of a call goes; loads the weights."),
    ] = False,
    target: o.Target = None,
    offline: o.Offline = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> int:
    """Show the bytes of MODEL or ARTIFACT by component and dtype, and what pruning a model would save."""
    del debug
    from compress.cli.inspect_tables import parts_table, savings_table, shares_tables
    from compress.core.artifact import GRAPH_NAME
    from compress.pipeline.contents import artifact_parts, checkpoint_parts

    console = Console(as_json=json, verbosity=-quiet)
    operators: dict[str, int] = {}
    saved: list[Saving] = []
    if (Path(subject) / GRAPH_NAME).is_file():
        facts: dict[str, object] = {"subject": subject, "kind": "onnx"}
        parts, operators = artifact_parts(Path(subject))
    else:
        facts, folder = _model(subject, task=task, offline=offline, console=console)
        parts = checkpoint_parts(folder)
        saved = _savings(folder, str(facts["task"]), console)
    spent = _shares(subject, task, target, offline, console) if latency else None
    if json:
        document = {**_document(facts, parts, operators), "savings": _saving_lines(saved, spent)}
        console.json({**document, "latency": None if spent is None else _latency_document(spent)})
        return 0
    console.out(", ".join(f"{key}: {value}" for key, value in facts.items()))
    console.print(parts_table(parts))
    if spent is not None:
        console.print("", *shares_tables(spent, parts))
    if saved:
        console.print("", savings_table(saved, spent, total=sum(part.elements or 0 for part in parts)))
    if operators:
        console.out("operators: " + ", ".join(f"{count} {name}" for name, count in operators.items()))
    return 0


def _model(ref: str, *, task: str | None, offline: bool, console: Console) -> tuple[dict[str, object], Path]:
    from compress.model.resolve import resolve
    from compress.pipeline.cache import cache_folder

    model = resolve(ref, task=task, offline=offline, cache=cache_folder(), note=console.note)
    facts = {"subject": model.ref, "kind": model.kind.value, "task": model.task}
    return {**facts, "parameters": model.parameters}, model.folder


def _savings(folder: Path, task: str, console: Console) -> list[Saving]:
    """What pruning would save; where it is not known, a note says why."""
    from compress.core.errors import CompressError
    from compress.pipeline.savings import savings

    try:
        return savings(folder, task)
    except CompressError as error:
        console.note(f"what pruning would save is not known: {error.message}")
        return []


def _shares(subject: str, task: str | None, target: str | None, offline: bool, console: Console) -> Shares:
    from compress.core.profile import load_profile
    from compress.core.settings import current
    from compress.pipeline.shares import measure_shares
    from compress.pipeline.subjects import find_subject

    values = current({"target": target, "offline": offline}).values
    found = find_subject(subject, task=task, offline=values.offline, note=console.note)
    with console.track("measure where the time goes", 1) as advance:
        spent = measure_shares(found, load_profile(values.target))
        advance()
    return spent


def _latency_document(spent: Shares) -> dict[str, object]:
    shares = spent.shares
    parts = [
        {"component": name, "milliseconds": value, "share": shares[name]}
        for name, value in spent.milliseconds.items()
    ]
    call = {"workload": spent.workload, "batch": spent.batch, "length": spent.length}
    types = {name: 1e3 * seconds for name, seconds in spent.by_type.items()}
    return {**call, "threads": spent.threads, "parts": parts, "operator_milliseconds": types}


def _saving_lines(saved: Sequence[Saving], spent: Shares | None) -> list[dict[str, object]]:
    return [
        {
            "step": one.step,
            "removes": one.removes,
            "parameters": one.parameters,
            "size_bytes": one.size_bytes,
            "latency_share_estimated": None if spent is None else one.latency_share(spent.shares),
        }
        for one in saved
    ]


def _document(
    facts: Mapping[str, object], parts: Sequence[Part], operators: Mapping[str, int]
) -> dict[str, object]:
    lines = [
        {
            "component": part.component,
            "dtype": part.dtype,
            "size_bytes": part.size_bytes,
            "elements": part.elements,
            "sparsity": part.sparsity,
        }
        for part in parts
    ]
    total = sum(part.size_bytes for part in parts)
    return {**facts, "size_bytes": total, "parts": lines, "operators": dict(operators)}


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(inspect)
