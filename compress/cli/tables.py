"""Tables of the verbs that print what they know rather than what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from compress.core.units import human_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType

    from compress.core.recipe import Recipe


def plan_tables(document: Mapping[str, Any]) -> list[RenderableType]:
    """A plan: the model, the candidates with what they are predicted to weigh, and the settings."""
    model = document["model"]
    facts = f"{model['ref']}: {model['task']} ({model['kind']}), {model['parameters']:,} parameters"
    candidates = _table("candidate", "runtime", "steps", "estimated size", title=facts)
    for entry in document["candidates"]:
        steps = " > ".join(next(iter(step)) for step in entry["steps"])
        size = entry["estimated_bytes"]
        candidates.add_row(entry["name"], entry["runtime"], steps, "?" if size is None else human_bytes(size))
    spared = [
        Text(f"{entry['name']} is made unless {' or '.join(entry['unless'])} keeps the accuracy")
        for entry in document["candidates"]
        if entry["unless"]
    ]
    settings = _table("setting", "value", "from")
    for name, setting in document["settings"].items():
        if setting["value"] not in (None, False, [], ()):
            settings.add_row(name, str(setting["value"]), setting["origin"])
    return [candidates, *spared, Text(f"speeds for {document['target']}: {_speeds(document)}\n"), settings]


def _speeds(document: Mapping[str, Any]) -> str:
    """How the speeds of a plan will be known."""
    if document["differences"]:
        return f"estimated ({'; '.join(document['differences'])})"
    limits = ", ".join(document["limits"])
    return f"measured here, constrained to {limits}" if limits else "measured here"


def bench_tables(document: Mapping[str, Any]) -> list[RenderableType]:
    """Times of several models, a table for each workload."""
    found: list[RenderableType] = [_bench_table(name, document) for name in document["workloads"]]
    limits = ", ".join(document["limits"])
    return [*found, Text(f"constrained to {limits}")] if limits else found


def _bench_table(workload: str, document: Mapping[str, Any]) -> Table:
    shape = document["workloads"][workload]
    title = f"{workload}: batch {shape['batch']} x {shape['length']} tokens, target {document['target']}"
    table = _table("model", "runtime", "size", "p50", "p95", "items/s", "peak memory", "speedup", title=title)
    for one in document["results"]:
        figures = one["workloads"][workload]
        latency, speed = figures["latency_ms"], figures["speedup"]
        table.add_row(
            one["name"],
            one["runtime"],
            human_bytes(one["size_bytes"]),
            f"{latency['p50']:.3g} ms",
            f"{latency['p95']:.3g} ms",
            f"{figures['throughput_per_s']:.3g}",
            human_bytes(one["peak_rss_bytes"]),
            f"{speed['value']:.2f}x ({speed['low']:.2f}-{speed['high']:.2f})" if speed else "1",
        )
    return table


def recipe_table(recipes: Mapping[str, Recipe]) -> Table:
    """Recipes by name with their steps and reasons."""
    table = _table("recipe", "runtime", "steps", "why")
    for name, recipe in recipes.items():
        table.add_row(name, recipe.runtime, " > ".join(step.name for step in recipe.steps), recipe.why)
    return table


def _table(*columns: str, title: str | None = None) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
