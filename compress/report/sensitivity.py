"""The picture of how much each group of matrices matters, and which bits it was given."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from markupsafe import Markup

from compress.report import format as fmt
from compress.report import plot
from compress.report.figures import Figure, Legend, figure
from compress.report.tables import Cell, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compress.core.report import Evidence, GroupBits

_PITCH, _RADIUS, _SMALLEST = 34.0, 13.0, 1.5
_CAPTION = (
    "A circle is a group of matrices of one block that was rounded alone, to the fewest bits of the choice; "
    "its area is the divergence (KL) from the original that this left. Colours are the bits that the group "
    "was given, so that all together keep to the average."
)


@dataclass(frozen=True)
class _Place:
    row: str
    block: int
    group: GroupBits


def sensitivity_figure(evidence: Evidence) -> Figure | None:
    """Groups by block and kind; none where every matrix was given the same bits."""
    if not evidence.sensitivity:
        return None
    places = [_place(group) for group in evidence.sensitivity]
    bits = sorted({group.bits for group in evidence.sensitivity})
    legend = tuple(Legend(_style(own), f"{own} bits") for own in bits)
    draw = partial(_drawn, places=places)
    title = "Sensitivity by layer"
    return figure("sensitivity", title, _CAPTION, draw, table=table(evidence), legend=legend, half=False)


def summary(evidence: Evidence) -> str:
    """One sentence on bits and divergences; empty where every matrix was given the same bits."""
    groups = evidence.sensitivity
    if not groups:
        return ""
    total = sum(group.elements for group in groups)
    average = sum(group.elements * group.bits for group in groups) / max(total, 1)
    by_bits = {
        own: [one for one in groups if one.bits == own] for own in sorted({one.bits for one in groups})
    }
    parts = ", ".join(f"{len(ones)} groups in {own} bits" for own, ones in by_bits.items())
    worst = max(groups, key=_measured)
    return (
        f"{average:.2f} bits a weight on average by measured sensitivity: {parts}; "
        f"{fmt.clean(_label(worst), 120)} matters most (KL {_measured(worst):.2g} nats a token alone)."
    )


def table(evidence: Evidence) -> Table:
    """The groups, the most sensitive first."""
    ordered = sorted(evidence.sensitivity, key=_measured, reverse=True)
    rows = tuple(
        (
            Cell(fmt.clean(_label(group), 160)),
            Cell(f"{group.elements:,}", group.elements),
            Cell(str(group.bits), group.bits),
            *(Cell(f"{group.divergence[bits]:.3g}", group.divergence[bits]) for bits in _choices(evidence)),
        )
        for group in ordered
    )
    columns = ("matrices", "numbers", "bits", *(f"KL in {bits} bits" for bits in _choices(evidence)))
    return Table("Sensitivity", columns, rows)


def _choices(evidence: Evidence) -> list[int]:
    """The bits that every group could be given."""
    common = set.intersection(*(set(group.divergence) for group in evidence.sensitivity), {2, 3, 4, 8})
    return sorted(common) if evidence.sensitivity else []


def _measured(group: GroupBits) -> float:
    return group.divergence[min(group.divergence)] if group.divergence else 0.0


def _label(group: GroupBits) -> str:
    place = _place(group)
    return f"block {place.block}: {place.row}"


def _place(group: GroupBits) -> _Place:
    """The block, and the names of the layers in it."""
    found = [re.fullmatch(r".*?\.(\d+)\.(.+)", name) for name in group.names]
    block = next((int(one[1]) for one in found if one), 0)
    paths = [one[2] if one else name for one, name in zip(found, group.names, strict=True)]
    layers = [re.sub(r"\.weight$", "", path).rpartition(".")[2] for path in paths]
    return _Place(", ".join(dict.fromkeys(layers)), block, group)


_STYLES = {2: "d-1", 3: "d-2", 4: "d-4", 8: "d-3"}
"""Those of 4 and 8 bits as where dtypes are shown."""


def _style(bits: int) -> str:
    return _STYLES.get(bits, "c-other")


def _drawn(width: float, *, places: Sequence[_Place]) -> plot.Drawing:
    rows = list(dict.fromkeys(place.row for place in places))
    narrow = width < 480
    left = 16.0 if narrow else min(max(plot.text_width(row) for row in rows), 200.0) + 30.0
    pitch = _PITCH + (18.0 if narrow else 0.0)
    bottom = 8.0 + pitch * len(rows)
    last = max(place.block for place in places)
    x = plot.Scale(
        0.0, float(max(last, 1)), left + 4.0, width - 16.0, float(_step(last, 5 if narrow else 10))
    )
    largest = max(_measured(place.group) for place in places) or 1.0
    parts = [_axis(x, last, bottom)]
    for index, row in enumerate(rows):
        centre = 8.0 + pitch * (index + 1) - _PITCH / 2
        parts.append(_row_label(row, centre, left, narrow=narrow))
        parts += [_circle(place, x, centre, largest) for place in places if place.row == row]
    return plot.Drawing(width, bottom + 42.0, tuple(parts))


def _axis(x: plot.Scale, last: int, bottom: float) -> Markup:
    parts = [plot.line(x.start, bottom, x.stop, bottom, "axis")]
    for block in range(0, last + 1, int(x.step)):
        parts.append(plot.line(x(block), 8.0, x(block), bottom, "grid"))
        parts.append(plot.text(x(block), bottom + 16, str(block), anchor="middle"))
    parts.append(plot.text(x.stop, bottom + 34, "block", "axis-title", "end"))
    return Markup("").join(parts)


def _row_label(row: str, centre: float, left: float, *, narrow: bool) -> Markup:
    shown = row if len(row) <= 27 else f"{row[:26]}…"
    if narrow:
        return plot.text(0, centre - _PITCH / 2 - 2, shown, "label")
    return plot.text(left - 18.0, centre + 4, shown, "label", "end")


def _circle(place: _Place, x: plot.Scale, centre: float, largest: float) -> Markup:
    radius = max(_SMALLEST, _RADIUS * math.sqrt(max(_measured(place.group), 0.0) / largest))
    style = _style(place.group.bits)
    return plot.element("circle", cx=x(place.block), cy=centre, r=radius, class_=style, opacity="0.85")


def _step(last: int, count: int) -> int:
    return max(1, math.ceil((last + 1) / count))
