"""Plots of numbered points on two axes, for candidates whose names would overlap."""

from __future__ import annotations

from dataclasses import dataclass
from math import dist
from typing import TYPE_CHECKING

from markupsafe import Markup

from compress.report import plot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compress.report.plot import Drawing, Scale

    Point = tuple[float, float]


@dataclass(frozen=True)
class Dot:
    """A point; `number` is its row in the table beside the plot, `name` is told on hovering."""

    number: int
    name: str
    x: float
    y: float
    low: float | None = None
    high: float | None = None
    kept: bool = False


@dataclass(frozen=True)
class Axes:
    """What the axes mean; from `limit` on, in units of `x`, a point is over its budget."""

    x: str
    y: str
    limit: float | None = None
    limit_label: str = ""
    reference: float | None = None
    """A horizontal line: where nothing is gained."""


_LEFT, _TOP, _BOTTOM = 46.0, 40.0, 46.0
_RADIUS, _REACH, _FREE = 5.5, 14.0, 13.0
_DIRECTIONS = ((1, 0), (-1, 0), (0.8, -0.8), (-0.8, -0.8), (0.8, 0.8), (-0.8, 0.8), (0, -1.1), (0, 1.1))


def scatter(dots: Sequence[Dot], axes: Axes, *, width: float, height: float = 320.0) -> Drawing:
    """Numbered points with vertical error bars; the chosen one is filled."""
    x, y = _scales(dots, axes, width, height)
    ordered = sorted(dots, key=lambda dot: dot.kept)
    points = [(x(dot.x), y(dot.y)) for dot in ordered]
    labels = place_labels(points, (_LEFT, y.stop, x.stop, y.start))
    parts = [
        _over_budget(axes, x, y),
        plot.axis_left(y, left=_LEFT, right=width - 8, title=axes.y),
        plot.axis_below(x, top=y.stop, bottom=y.start, title=axes.x),
        _edge(axes, x, y),
        _reference(axes, x, y),
        *(_dot(dot, x, y, label) for dot, label in zip(ordered, labels, strict=True)),
    ]
    return plot.Drawing(width, height, tuple(parts))


def _scales(dots: Sequence[Dot], axes: Axes, width: float, height: float) -> tuple[Scale, Scale]:
    limit = [] if axes.limit is None else [axes.limit * 1.15]
    across = _padded([*(dot.x for dot in dots), *limit, 0.0])
    ends = [end for dot in dots for end in (dot.y, dot.low, dot.high) if end is not None]
    up = _padded([*ends, *([] if axes.reference is None else [axes.reference])])
    x = plot.scale(across, _LEFT, width - 8, zero=False, count=5 if width < plot.WIDE else 7)
    return x, plot.scale(up, height - _BOTTOM, _TOP, zero=False)


def _padded(values: Sequence[float]) -> list[float]:
    air = 0.05 * (max(values) - min(values))
    return [min(values) - air, max(values) + air]


def _over_budget(axes: Axes, x: Scale, y: Scale) -> Markup:
    if axes.limit is None:
        return Markup("")
    at = x(axes.limit)
    label = plot.text(x.stop, y.stop - 6, axes.limit_label, "limit-label", "end")
    width, height = x.stop - at, y.start - y.stop
    return label + plot.element("rect", x=at, y=y.stop, width=width, height=height, class_="over")


def _edge(axes: Axes, x: Scale, y: Scale) -> Markup:
    if axes.limit is None:
        return Markup("")
    return plot.line(x(axes.limit), y.stop, x(axes.limit), y.start, "limit")


def _reference(axes: Axes, x: Scale, y: Scale) -> Markup:
    if axes.reference is None:
        return Markup("")
    return plot.line(x.start, y(axes.reference), x.stop, y(axes.reference), "zero")


def _dot(dot: Dot, x: Scale, y: Scale, label: Point) -> Markup:
    style = "kept" if dot.kept else "left-out"
    at = (x(dot.x), y(dot.y))
    bar = Markup("")
    if dot.low is not None and dot.high is not None:
        bar = plot.line(at[0], y(dot.low), at[0], y(dot.high), f"whisker {style}")
    circle = plot.element("circle", cx=at[0], cy=at[1], r=_RADIUS, class_=style)
    number = plot.text(label[0], label[1] + 4, str(dot.number), f"number {style}", "middle")
    return plot.element("g", plot.element("title", dot.name), bar, circle, number)


def place_labels(points: Sequence[Point], frame: tuple[float, float, float, float]) -> list[Point]:
    """Centres for the numbers of `points`, each beside its point where nothing else is yet.

    `frame` is (left, top, right, bottom) in pixels. The first of eight directions that is free is
    taken; where none is, the one that stays furthest from everything.
    """
    placed: list[Point] = []
    for point in points:
        around = [(point[0] + dx * _REACH, point[1] + dy * _REACH) for dx, dy in _DIRECTIONS]
        inside = [spot for spot in around if _within(spot, frame)] or around
        others = [other for other in points if other != point] + placed
        clear = [min((dist(spot, other) for other in others), default=_FREE) for spot in inside]
        free = next((spot for spot, room in zip(inside, clear, strict=True) if room >= _FREE), None)
        placed.append(free or inside[clear.index(max(clear))])
    return placed


def _within(spot: Point, frame: tuple[float, float, float, float]) -> bool:
    left, top, right, bottom = frame
    return left + 8 <= spot[0] <= right - 8 and top + 8 <= spot[1] <= bottom - 8
