"""Tables of `compress compare`: what each model costs and what it is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compress.report import cost
from compress.report import format as fmt
from compress.report.tables import Cell, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from compress.core.comparison import Compared, Comparison, Standing

    Column = tuple[str, str, Callable[[float | None], str]]
    """A figure's name, its key in `Figures`, and how it is written."""


def table(comparison: Comparison) -> Table:
    """One row a model: size, accuracy, speed, memory, and whether it is on the front."""
    marked = "" if comparison.target.measured else " (estimated)"
    columns: list[Column] = [("size", "size_bytes", fmt.size)]
    timed: list[Column] = [
        ("latency p50", "latency_ms.p50", fmt.milliseconds),
        ("throughput", "throughput_per_s", fmt.rate),
        ("first token", "time_to_first_token_ms", fmt.milliseconds),
        ("prefill tokens", "prefill_tokens_per_s", fmt.rate),
        ("decoded tokens", "decode_tokens_per_s", fmt.rate),
        ("peak memory", "peak_rss_bytes", fmt.size),
    ]
    if decodes(comparison):
        timed = [one for one in timed if one[1] != "latency_ms.p50"]
    columns += [(f"{name}{marked}", key, write) for name, key, write in timed if _known(comparison, key)]
    score = _score_name(comparison)
    rows = []
    for one in comparison.models:
        values = [fmt.figure(one.figures, key) for _, key, _ in columns]
        size, *speed = [
            Cell(write(value), value) for (_, _, write), value in zip(columns, values, strict=True)
        ]
        rows.append((_name(one), size, *_accuracy(one, score), *speed, _front(one)))
    size_name, *names = (name for name, _, _ in columns)
    accuracy = (score, "lost against the first") if score else ()
    title = f"Compared for {fmt.clean(comparison.target.profile)}, on the same {_items(comparison)}"
    return Table(title, ("model", size_name, *accuracy, *names, "front"), tuple(rows))


def decodes(comparison: Comparison) -> bool:
    """Whether the latency is that of a token, which the rate of decoded tokens says already."""
    return _known(comparison, "decode_tokens_per_s")


def costs(comparison: Comparison) -> Table:
    """What each model's inferences or tokens cost; without rows where neither energy nor price is known."""
    found = [one for one in comparison.models if one.cost is not None]
    unit = next((one.cost.unit for one in found if one.cost), "")
    marked = "" if comparison.target.measured else " (estimated)"
    known = {"energy": "joules", f"money{marked}": "usd"}
    named = {title: key for title, key in known.items() if any(getattr(one.cost, key) for one in found)}
    rows = tuple((_name(one), _seconds(one), *_costs(one, named)) for one in found) if named else ()
    return Table(f"Cost of {unit}", ("model", f"time{marked}", *named), rows)


def _seconds(one: Compared) -> Cell:
    seconds = one.cost.seconds if one.cost else None
    return Cell(fmt.seconds(seconds), seconds)


def speedups(comparison: Comparison) -> Table:
    """How many times faster or slower than the first each model is, by workload, with its interval."""
    first, *others = comparison.models
    names = list(comparison.workloads)
    rows = [
        (
            Cell(fmt.clean(one.name, 80)),
            *(Cell(fmt.interval((one.speedup or {}).get(name))) for name in names),
        )
        for one in others
    ]
    marked = "" if comparison.target.measured else " (estimated)"
    title = f"Speed against {fmt.clean(first.name, 80)}{marked}"
    shapes = [f"{name} ({shape.batch} x {shape.length})" for name, shape in comparison.workloads.items()]
    return Table(title, ("model", *shapes), tuple(rows))


def best(comparison: Comparison) -> str:
    """Which models nobody beats, in a sentence."""
    front = [fmt.clean(one.name, 80) for one in comparison.models if one.on_front]
    beaten = [one for one in comparison.models if not one.on_front]
    parts = [f"On the front of size, latency and accuracy: {', '.join(front)}."]
    for one in beaten:
        others = ", ".join(fmt.clean(name, 80) for name in one.beaten_by)
        parts.append(f"{fmt.clean(one.name, 80)} is beaten by {others}.")
    return " ".join(parts)


def _name(one: Compared) -> Cell:
    return Cell(fmt.clean(one.name, 80))


def _items(comparison: Comparison) -> str:
    counts: Sequence[Standing] = [one.standing for one in comparison.models if one.standing]
    return f"{counts[0].items:,} items" if counts else "inputs"


def _known(comparison: Comparison, key: str) -> bool:
    return any(fmt.figure(one.figures, key) is not None for one in comparison.models)


def _score_name(comparison: Comparison) -> str:
    found = comparison.models[0].standing
    if found is None:
        return ""
    return fmt.metric_name(found.metric) + (" (fidelity)" if found.kind == "fidelity" else "")


def _accuracy(one: Compared, score: str) -> tuple[Cell, ...]:
    if not score or one.standing is None:
        return ()
    found = one.standing
    return Cell(fmt.score(found.value), found.value), Cell(lost(found), found.drop)


def lost(found: Standing) -> str:
    """The drop with its paired interval: `0.26 pt (0.10-0.41)`; of fidelity the upper end alone."""
    if found.drop is None or found.high is None:
        return fmt.ABSENT
    drop, high = (fmt.drop(value, found.metric) for value in (found.drop, found.high))
    if found.low is None:
        return f"{drop} ({fmt.AT_MOST} {high})"
    return f"{drop} ({fmt.drop(found.low, found.metric).split(' ')[0].rstrip('%')} to {high})"


def _costs(one: Compared, columns: dict[str, str]) -> list[Cell]:
    write = {"joules": cost.energy, "usd": cost.money}
    return [Cell(write[key](one.cost), getattr(one.cost, key, None)) for key in columns.values()]


def _front(one: Compared) -> Cell:
    return Cell("yes", tone="pass") if one.on_front else Cell("no")
