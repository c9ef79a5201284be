"""Parts of a plot as SVG: scales, ticks, axes. Colours and fonts come from the page's style sheet."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

CHARACTER = 7.2
"""Width to reserve for a character at 13 px: the mean of common sans-serif fonts, and some more."""


def element(name: str, *children: str, **attributes: object) -> Markup:
    """An SVG element; text and attribute values are escaped, `class_` is `class`, `_` is `-`."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_number(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inner = Markup("").join(children)
    return Markup(f"<{name}{written}>{inner}</{name}>")


def _number(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """A straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def text(x: float, y: float, content: str, class_: str = "tick", anchor: str | None = None) -> Markup:
    """A text whose base line is at `y`; `anchor` is start (None), middle or end."""
    return element("text", content, x=x, y=y, class_=class_, text_anchor=anchor)


def text_width(content: str) -> float:
    """About how many pixels wide `content` is at 13 px."""
    return CHARACTER * len(content)


def nice_step(span: float, count: int) -> float:
    """The largest of 1, 2, 5 times a power of ten that cuts `span` into about `count` parts or more.

    Source: Heckbert, "Nice numbers for graph labels", Graphics Gems, 1990.
    """
    raw = span / max(count, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    fraction = raw / power
    nice = 1 if fraction < 1.5 else 2 if fraction < 3.5 else 5 if fraction < 7.5 else 10
    return nice * power


@dataclass(frozen=True)
class Scale:
    """Maps values in [low, high] linearly to pixels in [start, stop]."""

    low: float
    high: float
    start: float
    stop: float
    step: float

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.stop - self.start)

    @property
    def ticks(self) -> list[float]:
        """The labelled values, ends included."""
        count = round((self.high - self.low) / self.step)
        return [self.low + index * self.step for index in range(count + 1)]

    def label(self, value: float) -> str:
        """A tick's label, with as many decimals as the step needs."""
        digits = max(0, -math.floor(math.log10(self.step) + 1e-9))
        return f"{value if abs(value) > self.step / 1e6 else 0.0:,.{digits}f}".replace("-", "\u2212")


def scale(values: Iterable[float], start: float, stop: float, *, zero: bool = True, count: int = 5) -> Scale:
    """A scale whose ends are round numbers around `values` (and around zero, if asked)."""
    known = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(known), max(known)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if high - low < 1e-12 * max(1.0, abs(high)):
        low, high = (low - 0.5, high + 0.5) if low else (0.0, 1.0)
    step = nice_step(high - low, count)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return Scale(first * step, last * step, start, stop, step)


@dataclass(frozen=True)
class LogScale:
    """Maps positive values in [low, high] to pixels by their logarithm: equal ratios, equal lengths."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        """Return the pixel of a value; what is not positive has no logarithm and lies at the lower end."""
        if value <= 0:
            return self.start
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + share * (self.stop - self.start)

    @property
    def ticks(self) -> list[float]:
        """Round values inside: 1, 2, 5 times powers of ten, and even steps where the range is short."""
        if self.high < 3 * self.low:
            even = scale([self.low, self.high], 0.0, 1.0, zero=False).ticks
            return [value for value in even if self.low <= value <= self.high]
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        decades = [10.0**power for power in range(first, last + 1)]
        inside: list[float] = []
        for digits in ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)):
            found = [digit * ten for ten in decades for digit in digits]
            inside = [value for value in found if self.low <= value <= self.high]
            if len(inside) >= _FEWEST:
                break
        return inside

    def label(self, value: float) -> str:
        """A tick's label without needless zeros."""
        return f"{value:,.6g}"


_FEWEST = 4


def log_scale(values: Iterable[float], start: float, stop: float) -> LogScale:
    """A scale around positive `values`, with a little air on both sides."""
    known = [value for value in values if math.isfinite(value) and value > 0] or [1.0]
    air = max(1.05, (max(known) / min(known)) ** 0.06)
    return LogScale(min(known) / air, max(known) * air, start, stop)


def axis_below(x: Scale | LogScale, *, top: float, bottom: float, title: str) -> Markup:
    """Vertical grid lines, tick labels under them, and the axis title at the right end."""
    parts = []
    for tick in x.ticks:
        parts.append(line(x(tick), top, x(tick), bottom, "grid"))
        parts.append(text(x(tick), bottom + 16, x.label(tick), anchor="middle"))
    parts.append(line(x.start, bottom, x.stop, bottom, "axis"))
    parts.append(text(x.stop, bottom + 34, title, "axis-title", "end"))
    return Markup("").join(parts)


def axis_left(y: Scale, *, left: float, right: float, title: str) -> Markup:
    """Horizontal grid lines, tick labels left of them, and the axis title above."""
    parts = []
    for tick in y.ticks:
        parts.append(line(left, y(tick), right, y(tick), "grid"))
        parts.append(text(left - 8, y(tick) + 4, y.label(tick), anchor="end"))
    parts.append(text(0, min(y.start, y.stop) - 14, title, "axis-title"))
    return Markup("").join(parts)


def marker(x: float, top: float, bottom: float, label: str, *, class_: str, side: str) -> Markup:
    """A vertical line at `x` with a label at its top, which `start`s or `end`s there."""
    return line(x, top, x, bottom, class_) + text(x, top - 5, label, f"{class_}-label", side)


@dataclass(frozen=True)
class Drawing:
    """The parts of a plot, `width` by `height` pixels."""

    width: float
    height: float
    parts: tuple[Markup, ...]


WIDE, HALF, NARROW = 660.0, 492.0, 340.0
"""Widths of plots in pixels: alone or two in a row on a desk, and on a phone."""


def both_widths(
    draw: Callable[[float], Drawing], *, wide: float, ident: str, title: str, description: str
) -> Markup:
    """The plot for a desk and for a phone; the style sheet shows one of them. One that is only scaled
    down would have text that nobody can read.
    """
    versions = [(draw(wide), "wide"), (draw(NARROW), "narrow")]
    return Markup("").join(svg(drawing, f"{ident}-{name}", title, description) for drawing, name in versions)


def svg(drawing: Drawing, ident: str, title: str, description: str) -> Markup:
    """The plot as an image that screen readers announce by its title and description."""
    return element(
        "svg",
        element("title", title, id=f"{ident}-title"),
        element("desc", description, id=f"{ident}-desc"),
        *drawing.parts,
        viewBox=f"0 0 {drawing.width:.0f} {drawing.height:.0f}",
        width=drawing.width,
        class_=ident.rsplit("-", 1)[1],
        role="img",
        aria_labelledby=f"{ident}-title {ident}-desc",
    )
