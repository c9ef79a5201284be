"""`compress cache`: where finished steps are kept, and how to be rid of them."""

from __future__ import annotations

import typer

from compress.cli import options as o
from compress.cli.console import Console


def folder(json: o.Json = False) -> None:
    """Print the cache's folder and its size."""
    from compress.core.units import human_bytes
    from compress.pipeline.cache import cache_folder, cached_bytes

    path = cache_folder()
    size = cached_bytes(path) if path.exists() else 0
    console = Console(as_json=json)
    if json:
        console.json({"folder": str(path), "bytes": size})
    else:
        console.out(str(path))
        console.note(human_bytes(size))


def clean(json: o.Json = False) -> None:
    """Remove finished steps, converted checkpoints, timings and artifacts that missed their budget."""
    from compress.core.units import human_bytes
    from compress.pipeline.cache import cache_folder
    from compress.pipeline.cache import clean as clean_folder

    cleaned = clean_folder(cache_folder())
    console = Console(as_json=json)
    if json:
        console.json({"freed_bytes": cleaned.freed_bytes, "in_use": cleaned.in_use})
    else:
        console.out(f"freed {human_bytes(cleaned.freed_bytes)}")
    if cleaned.in_use:
        console.note(f"{cleaned.in_use} folders stay: a running process uses them")


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    cache = typer.Typer(help="Show and clean the cache of finished steps.", no_args_is_help=True)
    cache.command("dir")(folder)
    cache.command()(clean)
    app.add_typer(cache, name="cache")
