"""Tables of `compress vote`: accuracy against samples and their cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compress.report import cost
from compress.report import format as fmt
from compress.report.tables import Cell, Table

if TYPE_CHECKING:
    from compress.core.voting import EqualCost, Voter, Voting


def models(found: Voting) -> Table:
    """One row a model: what a sample of it takes."""
    columns = ["model", "size", "time a sample", "tokens a sample", "answered"]
    priced = found.voters[0].cost
    columns += ["energy of 1,000 samples"] if priced.joules is not None else []
    columns += ["cost of 1,000 samples"] if priced.usd is not None else []
    rows = tuple(_model(one) for one in found.voters)
    return Table("What a sample takes", tuple(columns), rows)


def _model(one: Voter) -> tuple[Cell, ...]:
    cells = [
        Cell(fmt.clean(one.name, 80)),
        Cell(fmt.size(one.size_bytes), one.size_bytes),
        Cell(fmt.seconds(one.seconds), one.seconds),
        Cell(f"{one.tokens:.1f}", one.tokens),
        Cell(f"{one.answered:.0%}", one.answered),
    ]
    if one.cost.joules is not None:
        cells.append(Cell(cost.energy(one.cost), one.cost.joules))
    if one.cost.usd is not None:
        cells.append(Cell(cost.money(one.cost), one.cost.usd))
    return tuple(cells)


def curve(found: Voting, counts: list[int]) -> Table:
    """One row for each number of samples: each model's time, accuracy of the majority, and how often one of
    the samples is right.
    """
    columns = ["samples"]
    for one in found.voters:
        name = fmt.clean(one.name, 40)
        columns += [f"{name}: time", "majority right", "one right"]
    rows = []
    for count in counts:
        cells = [Cell(str(count), count)]
        for one in found.voters:
            at = count - 1
            interval = f"({one.low[at]:.1%}{fmt.DASH}{one.high[at]:.1%})"
            cells += [
                Cell(fmt.seconds(count * one.seconds), count * one.seconds),
                Cell(f"{one.accuracy[at]:.1%} {interval}", one.accuracy[at]),
                Cell(f"{one.any_right[at]:.1%}", one.any_right[at]),
            ]
        rows.append(tuple(cells))
    items = f"{found.data['items']:,} questions"
    return Table(f"Accuracy against samples, {items}", tuple(columns), tuple(rows))


def equal_cost(found: Voting) -> Table:
    """What the others reach for the cost of so many samples of the first."""
    first = fmt.clean(found.voters[0].name, 40)
    columns = (f"samples of {first}", "its accuracy", "model", "samples at that cost", "accuracy", "gain")
    return Table("At equal cost", columns, tuple(_equal(one) for one in found.equal_cost))


def _equal(one: EqualCost) -> tuple[Cell, ...]:
    gain, low, high = (f"{value * 100:+.1f}" for value in (one.gain, one.low, one.high))
    return (
        Cell(str(one.first_samples), one.first_samples),
        Cell(f"{one.first:.1%}", one.first),
        Cell(fmt.clean(one.model, 40)),
        Cell(str(one.samples), one.samples),
        Cell(f"{one.accuracy:.1%}", one.accuracy),
        Cell(f"{gain} pt ({low} to {high})", one.gain),
    )
