"""What inference costs, and how many more steps of thinking the artifact affords."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compress.report import format as fmt
from compress.report.tables import Cell, Table

if TYPE_CHECKING:
    from compress.core.cost import Cost
    from compress.core.report import Evidence, Ratio, Report

_ORDER = ("torch", "onnxruntime_fp32", "result")


def table(report: Report, evidence: Evidence) -> Table:
    """Time, energy and money of each contender; what is not known of any is left out."""
    costs = {name: evidence.costs[name] for name in _ORDER if name in evidence.costs}
    unit = next((one.unit for one in costs.values()), "")
    marked = "" if report.target.measured else " (estimated)"
    columns = ["", f"time for {unit}{marked}"]
    if any(one.joules is not None for one in costs.values()):
        columns.append("energy")
    if any(one.usd is not None for one in costs.values()):
        columns.append(f"money{marked}")
    rows = [(Cell(fmt.contender(name)), *_cells(one, len(columns))) for name, one in costs.items()]
    return Table(f"Cost of {unit}", tuple(columns), tuple(rows))


def _cells(one: Cost, columns: int) -> list[Cell]:
    cells = [Cell(fmt.seconds(one.seconds), one.seconds)]
    if one.joules is not None:
        cells.append(Cell(energy(one), one.joules))
    if one.usd is not None:
        cells.append(Cell(money(one), one.usd))
    return [*cells, *[Cell(fmt.ABSENT)] * (columns - 1 - len(cells))]


def energy(one: Cost | None) -> str:
    """`34.1 J (estimated)`, or in kWh from a hundred thousand joules on."""
    if one is None or one.joules is None:
        return fmt.ABSENT
    large = one.joules >= 1e5
    text = f"{fmt.significant(one.joules / 3.6e6)} kWh" if large else f"{fmt.significant(one.joules)} J"
    return text if one.energy == "measured" else f"{text} (estimated)"


def money(one: Cost | None) -> str:
    """US dollars, as far as they are known."""
    if one is None or one.usd is None:
        return fmt.ABSENT
    return f"${fmt.significant(one.usd)}"


def thinking(report: Report) -> str:
    """How many steps the artifact takes for what one of each baseline costs, in a sentence. The machine is
    drawn and paid for by the hour, so that this is the ratio of throughputs.
    """
    known = {
        "onnxruntime_fp32": report.speedup.vs_onnxruntime_fp32,
        "torch": report.speedup.vs_torch,
    }
    parts = [
        f"{_steps(ratio)} for what one of {fmt.contender(name)} costs"
        for name, ratio in known.items()
        if ratio
    ]
    if not parts:
        return ""
    marked = "" if report.target.measured else " (estimated)"
    return f"Thinking budget{marked}: the artifact takes {', '.join(parts)}."


def _steps(ratio: Ratio) -> str:
    low, high = (fmt.factor(value).rstrip(fmt.TIMES) for value in (ratio.low, ratio.high))
    return f"{fmt.factor(ratio.value).rstrip(fmt.TIMES)} ({low}{fmt.DASH}{high}) steps"
