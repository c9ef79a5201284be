"""`compress inspect`: where the bytes of a model or an artifact are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compress.cli import options as o
from compress.cli.console import Console

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.table import Table

    from compress.pipeline.contents import Part
    from compress.pipeline.savings import Saving

Subject = Annotated[
    str, typer.Argument(metavar="MODEL|ARTIFACT", help="A model as `run` takes it, or what it published.")
]


def inspect(
    subject: Subject,
    task: o.Task = None,
    offline: o.Offline = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> int:
    """Show the bytes of MODEL or ARTIFACT by component and dtype, and what pruning a model would save."""
    del debug
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
    if json:
        console.json({**_document(facts, parts, operators), "savings": _saving_lines(saved)})
        return 0
    console.out(", ".join(f"{key}: {value}" for key, value in facts.items()))
    console.print(_table(parts))
    if saved:
        console.print(_savings_table(saved, total=sum(part.elements or 0 for part in parts)))
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


def _saving_lines(saved: Sequence[Saving]) -> list[dict[str, object]]:
    return [
        {"step": one.step, "removes": one.removes, "parameters": one.parameters, "size_bytes": one.size_bytes}
        for one in saved
    ]


def _savings_table(saved: Sequence[Saving], *, total: int) -> Table:
    from rich.table import Table

    from compress.core.units import human_bytes

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("step", "would remove"):
        table.add_column(name)
    for name in ("weights", "share", "fp32 bytes"):
        table.add_column(name, justify="right")
    for one in saved:
        share = f"{one.parameters / total:.1%}" if total else ""
        table.add_row(one.step, one.removes, f"{one.parameters:,}", share, human_bytes(one.size_bytes))
    return table


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


def _table(parts: Sequence[Part]) -> Table:
    from rich.table import Table

    from compress.core.units import human_bytes

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("part")
    table.add_column("dtype")
    for name in ("size", "share", "elements", "zero"):
        table.add_column(name, justify="right")
    total = sum(part.size_bytes for part in parts)
    for part in parts:
        elements = "" if part.elements is None else f"{part.elements:,}"
        sparse = "" if part.sparsity is None else f"{part.sparsity:.1%}"
        share = f"{part.size_bytes / total:.1%}" if total else ""
        table.add_row(part.component, part.dtype, human_bytes(part.size_bytes), share, elements, sparse)
    table.add_row("total", "", human_bytes(total), "", "", "")
    return table


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(inspect)
