"""The tables of `compress inspect`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.table import Table

from compress.core.units import human_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compress.pipeline.contents import Part
    from compress.pipeline.savings import Saving
    from compress.pipeline.shares import Shares

_OPERATORS = 10
"""Operators that are listed by their time."""


def parts_table(parts: Sequence[Part]) -> Table:
    """Bytes by component and dtype."""
    table = _table(("part", "dtype"), ("size", "share", "elements", "zero"))
    total = sum(part.size_bytes for part in parts)
    for part in parts:
        elements = "" if part.elements is None else f"{part.elements:,}"
        sparse = "" if part.sparsity is None else f"{part.sparsity:.1%}"
        share = f"{part.size_bytes / total:.1%}" if total else ""
        table.add_row(part.component, part.dtype, human_bytes(part.size_bytes), share, elements, sparse)
    table.add_row("total", "", human_bytes(total), "", "", "")
    return table


def shares_tables(spent: Shares, parts: Sequence[Part]) -> list[Table | str]:
    """Bytes beside the time of one call, by component; and the operators that take most of it."""
    sizes: Counter[str] = Counter()
    for part in parts:
        sizes[part.component] += part.size_bytes
    total, shares = sum(sizes.values()) or 1, spent.shares
    call = f"{spent.workload}, {spent.batch} x {spent.length}, {spent.threads} threads, this host"
    table = _table(("part",), ("size", "share of bytes", "time of a call", "share of time"))
    table.title, table.title_justify = f"measured: {call}", "left"
    for name, milliseconds in spent.milliseconds.items():
        sizes.setdefault(name, 0)
        time = (_milliseconds(milliseconds), f"{shares[name]:.1%}")
        table.add_row(name, human_bytes(sizes[name]), f"{sizes[name] / total:.1%}", *time)
    return [table, "", _operators(spent)]


def _operators(spent: Shares) -> Table:
    table = _table(("operator or module",), ("number", "time of a call", "share of time"))
    counts = Counter(one.type for one in spent.times)
    total = sum(spent.by_type.values()) or 1.0
    for name, seconds in list(spent.by_type.items())[:_OPERATORS]:
        table.add_row(name, str(counts[name]), _milliseconds(1e3 * seconds), f"{seconds / total:.1%}")
    return table


def savings_table(saved: Sequence[Saving], spent: Shares | None, *, total: int) -> Table:
    """What each pruning step would save: of `total` weights, and of a call's time where that was measured."""
    latency = ("time (estimated)",) if spent is not None else ()
    table = _table(("step", "would remove"), ("weights", "share", "fp32 bytes", *latency))
    for one in saved:
        share = f"{one.parameters / total:.1%}" if total else ""
        time = [f"{one.latency_share(spent.shares):.1%}"] if spent is not None else []
        weights = (f"{one.parameters:,}", share, human_bytes(one.size_bytes))
        table.add_row(one.step, one.removes, *weights, *time)
    return table


def _table(names: Sequence[str], figures: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(name)
    for name in figures:
        table.add_column(name, justify="right")
    return table


def _milliseconds(value: float) -> str:
    return f"{value:,.2f} ms"
