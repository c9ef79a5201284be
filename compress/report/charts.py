"""Plots of labelled rows: bars, intervals, stacked bars and strips. Rows in, drawings out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from compress.report import plot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compress.report.plot import Drawing, LogScale, Scale


@dataclass(frozen=True)
class Row:
    """One labelled row: a value with an interval, or many `samples`. `style` is its colour's class,
    `text` is written beside it.
    """

    label: str
    style: str
    value: float = 0.0
    text: str = ""
    low: float | None = None
    high: float | None = None
    samples: tuple[float, ...] = ()


@dataclass(frozen=True)
class Stack:
    """A bar of segments: (what it is, its colour's class, value). `text` is written at its end."""

    label: str
    segments: tuple[tuple[str, str, float], ...]
    text: str


@dataclass(frozen=True)
class Pair:
    """A labelled row of two bars, before and after; one that is None is not drawn."""

    label: str
    before: float | None
    after: float | None
    texts: tuple[str, str]


@dataclass(frozen=True)
class Limit:
    """A vertical line: a budget, or the point where nothing is gained (`style` `zero`)."""

    value: float
    label: str
    style: str = "limit"


@dataclass(frozen=True)
class _Layout:
    """Where rows lie. On narrow plots labels stand above their rows, elsewhere left of them."""

    width: float
    labels: tuple[str, ...]
    pitch: float
    room: float = 8.0
    """Pixels that are kept free at the right, for values."""
    top: float = 6.0

    @property
    def narrow(self) -> bool:
        return self.width < 480

    @property
    def left(self) -> float:
        widest = max((plot.text_width(label) for label in self.labels), default=0.0)
        return 6.0 if self.narrow else min(widest, 230.0) + 18.0

    @property
    def right(self) -> float:
        return self.width - self.room

    @property
    def row(self) -> float:
        return self.pitch + (18.0 if self.narrow else 0.0)

    @property
    def bottom(self) -> float:
        return self.top + self.row * len(self.labels) + 4.0

    def centre(self, index: int) -> float:
        return self.top + self.row * (index + 1) - self.pitch / 2

    def label(self, index: int) -> Markup:
        label, centre = self.labels[index], self.centre(index)
        if self.narrow:
            return plot.text(0, centre - self.pitch / 2 - 2, _fitting(label, self.width), "label")
        return plot.text(self.left - 14, centre + 4, _fitting(label, 230.0), "label", "end")

    def finish(self, x: Scale | LogScale, title: str, parts: Sequence[Markup]) -> Drawing:
        """Add the axis below (under the marks) and close the drawing."""
        axis = plot.axis_below(x, top=self.top, bottom=self.bottom, title=title)
        return plot.Drawing(self.width, self.bottom + 42.0, (axis, *parts))


def bars(rows: Sequence[Row], *, title: str, width: float, limits: Sequence[Limit] = ()) -> Drawing:
    """Bars from zero with whiskers where an interval (or a higher percentile) is known."""
    room = max((plot.text_width(row.text) for row in rows), default=0.0) + 14.0
    layout = _layout(rows, width, pitch=34.0, room=room, limits=limits)
    ends = [max(row.value, row.high or 0.0) for row in rows] + [limit.value for limit in limits]
    x = plot.scale(ends, layout.left, layout.right, count=_count(layout))
    parts = [_bar(row, layout, index, x) for index, row in enumerate(rows)]
    return layout.finish(x, title, [*_limits(limits, layout, x), *parts])


def _bar(row: Row, layout: _Layout, index: int, x: Scale) -> Markup:
    centre, end = layout.centre(index), x(row.value)
    bar = plot.element(
        "rect", x=x(0.0), y=centre - 8, width=max(end - x(0.0), 1.0), height=16, rx=2, class_=row.style
    )
    whisker = _whisker(row, centre, x, "whisker over")
    text_at = max(end, x(row.high) if row.high is not None else end) + 8
    return layout.label(index) + bar + whisker + plot.text(text_at, centre + 4, row.text, "value")


def intervals(
    rows: Sequence[Row], *, title: str, width: float, limits: Sequence[Limit], log: bool = False
) -> Drawing:
    """Points with error bars; the limits are always in view. Ratios are best seen on a `log` scale."""
    layout = _layout(rows, width, pitch=38.0, room=12.0, limits=limits)
    known = [end for row in rows for end in (row.value, row.low, row.high) if end is not None]
    ends = [*known, *(limit.value for limit in limits)]
    x = plot.log_scale(ends, layout.left, layout.right) if log else _padded(ends, layout)
    parts = [_point(row, layout, index, x) for index, row in enumerate(rows)]
    return layout.finish(x, title, [*_limits(limits, layout, x), *parts])


def _padded(values: Sequence[float], layout: _Layout) -> Scale:
    """A scale that leaves a little air around its values, so that no mark sits on the frame."""
    air = 0.06 * (max(values) - min(values))
    ends = [min(values) - air, max(values) + air]
    return plot.scale(ends, layout.left, layout.right, zero=False, count=_count(layout))


def _point(row: Row, layout: _Layout, index: int, x: Scale | LogScale) -> Markup:
    centre, at = layout.centre(index) + 6, x(row.value)
    dot = plot.element("circle", cx=at, cy=centre, r=5, class_=row.style)
    half = plot.text_width(row.text) / 2
    text_at = min(max(at, layout.left + half), layout.width - half)
    value = plot.text(text_at, centre - 11, row.text, "value", "middle")
    return layout.label(index) + _whisker(row, centre, x, f"whisker {row.style}") + dot + value


def _whisker(row: Row, centre: float, x: Scale | LogScale, style: str) -> Markup:
    if row.low is None and row.high is None:
        return Markup("")
    low, high = (x(row.value if end is None else end) for end in (row.low, row.high))
    caps = [plot.line(end, centre - 5, end, centre + 5, style) for end in (low, high)]
    return plot.line(low, centre, high, centre, style) + caps[0] + caps[1]


def _limits(limits: Sequence[Limit], layout: _Layout, x: Scale | LogScale) -> list[Markup]:
    """Lines from low to high; labels stand away from each other, and away from the plot's edges."""
    ordered = sorted(limits, key=lambda limit: limit.value)
    parts = []
    for index, limit in enumerate(ordered):
        at, room = x(limit.value), plot.text_width(limit.label)
        last = index == len(ordered) - 1
        side = "start" if (last and at + room < layout.width) or at - room < 0 else "end"
        parts.append(plot.marker(at, layout.top, layout.bottom, limit.label, class_=limit.style, side=side))
    return parts


def stacked(stacks: Sequence[Stack], *, title: str, width: float) -> Drawing:
    """Stacked bars on one scale, each segment with its name where it fits."""
    room = max((plot.text_width(stack.text) for stack in stacks), default=0.0) + 14.0
    layout = _Layout(width, tuple(stack.label for stack in stacks), 40.0, room)
    ends = [sum(value for _, _, value in stack.segments) for stack in stacks]
    x = plot.scale(ends, layout.left, layout.right, count=_count(layout))
    parts = [_stack(stack, layout, index, x) for index, stack in enumerate(stacks)]
    return layout.finish(x, title, parts)


def _stack(stack: Stack, layout: _Layout, index: int, x: Scale) -> Markup:
    centre, start = layout.centre(index), 0.0
    parts = [layout.label(index)]
    for name, style, value in stack.segments:
        parts.append(_segment(name, style, x(start), x(start + value), centre))
        start += value
    parts.append(plot.text(x(start) + 8, centre + 4, stack.text, "value"))
    return Markup("").join(parts)


def _segment(name: str, style: str, start: float, stop: float, centre: float) -> Markup:
    gap = 1.5 if stop - start > 4 else 0.0
    width = max(stop - start - gap, 0.5)
    box = plot.element("rect", x=start, y=centre - 13, width=width, height=26, class_=style)
    if plot.text_width(name) + 10 > stop - start:
        return box
    return box + plot.text((start + stop - gap) / 2, centre + 4, name, f"inside {style}", "middle")


def pairs(rows: Sequence[Pair], *, title: str, width: float) -> Drawing:
    """Two bars a row on one scale, before above after."""
    room = max((plot.text_width(text) for row in rows for text in row.texts), default=0.0) + 14.0
    layout = _Layout(width, tuple(row.label for row in rows), 40.0, room)
    ends = [value for row in rows for value in (row.before or 0.0, row.after or 0.0)]
    x = plot.scale(ends, layout.left, layout.right, count=_count(layout))
    parts = [_pair(row, layout, index, x) for index, row in enumerate(rows)]
    return layout.finish(x, title, parts)


def _pair(row: Pair, layout: _Layout, index: int, x: Scale) -> Markup:
    centre, parts = layout.centre(index), [layout.label(index)]
    alone = row.before is None or row.after is None  # then it stands beside its label
    tops = (centre - 6.5, centre - 6.5) if alone else (centre - 14, centre + 1)
    sides = ((row.before, "c-ort", tops[0]), (row.after, "c-result", tops[1]))
    for (value, style, top), text in zip(sides, row.texts, strict=True):
        if value is not None:
            width = max(x(value) - x(0.0), 1.0)
            parts.append(plot.element("rect", x=x(0.0), y=top, width=width, height=13, rx=2, class_=style))
            parts.append(plot.text(x(value) + 8, top + 11, text, "value"))
    return Markup("").join(parts)


def strips(rows: Sequence[Row], *, title: str, width: float, log: bool = False) -> Drawing:
    """Every sample as a dot. A row reads from top (first taken) to bottom (last taken), so that
    drift and second modes are seen; the line is the median, the bracket the 5th to 95th percentile.
    """
    layout = _Layout(width, tuple(row.label for row in rows), 64.0, 14.0)
    ends = [value for row in rows for value in row.samples]
    x: Scale | LogScale = plot.scale(ends, layout.left, layout.right, count=_count(layout))
    if log:
        x = plot.log_scale(ends, layout.left, layout.right)
    parts = [_strip(row, layout, index, x) for index, row in enumerate(rows)]
    return layout.finish(x, title, parts)


def _strip(row: Row, layout: _Layout, index: int, x: Scale | LogScale) -> Markup:
    centre, height = layout.centre(index), 44.0
    step = height / max(len(row.samples) - 1, 1)
    dots = "".join(
        f"M{x(value):.1f} {centre - height / 2 + step * order:.1f}h0"
        for order, value in enumerate(row.samples)
    )
    median = plot.line(x(row.value), centre - 26, x(row.value), centre + 26, f"median {row.style}")
    return layout.label(index) + plot.element("path", d=dots, class_=f"dots {row.style}") + median


def _layout(
    rows: Sequence[Row], width: float, *, pitch: float, room: float, limits: Sequence[Limit]
) -> _Layout:
    return _Layout(width, tuple(row.label for row in rows), pitch, room, top=20.0 if limits else 6.0)


def _count(layout: _Layout) -> int:
    return 4 if layout.width < plot.WIDE else 6


def _fitting(label: str, room: float) -> str:
    most = int(room / plot.CHARACTER)
    return label if len(label) <= most else f"{label[: most - 1]}…"
