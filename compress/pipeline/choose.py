"""Which candidate is published: the fastest that keeps its accuracy, and among equals the smallest; or,
where size is what a preset is after, the smallest that is faster than ONNX Runtime fp32.

Why so: candidates are judged on the calibration split and gated on the test split, which no choice
has seen. Two speeds whose difference is within the noise are equal, so a smaller file decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from compress.core.units import human_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from compress.core.report import Ratio

SAME_SPEED = 0.05
"""Speeds that differ by less are equal: machines are noisier than that."""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """A candidate and what was measured of it on the calibration split.

    `speedup` is over ONNX Runtime fp32 at each workload; `error` says why it could not be made.
    """

    name: str
    size_bytes: int | None = None
    drop: float | None = None
    speedup: Mapping[str, Ratio] | None = None
    error: str | None = None


@dataclass(frozen=True)
class Choice:
    """The name of the winner (None: nothing beat fp32) and a reason for each candidate."""

    winner: str | None
    why: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a candidate must keep to. `drop` is in units of the metric."""

    drop: float
    size_bytes: int | None = None
    speedup: float | None = None
    smaller_is_enough: bool = False
    """A file that is smaller but not faster than fp32 may win (when the user set a size)."""
    prefer: Literal["speed", "size"] = "speed"


def choose(tried: Sequence[Tried], limits: Limits, *, headline: str) -> Choice:
    """Pick the winner by the throughput (or whichever workload is the `headline`)."""
    why = {one.name: reason for one in tried if (reason := _unfit(one, limits, headline))}
    fit = [one for one in tried if one.name not in why]
    if not fit:
        return Choice(None, why)
    if limits.prefer == "size":
        winner = min(fit, key=lambda one: (_size(one), -_speed(one, headline)))
        return Choice(winner.name, why | {one.name: _larger(one, winner, headline) for one in fit})
    fastest = max(_speed(one, headline) for one in fit)
    close = [one for one in fit if _speed(one, headline) >= fastest * (1 - SAME_SPEED)]
    winner = min(close, key=lambda one: (_size(one), _drop(one)))
    for one in fit:
        why[one.name] = _reason(one, winner, close=one in close, headline=headline)
    return Choice(winner.name, why)


def _unfit(one: Tried, limits: Limits, headline: str) -> str | None:
    if one.error is not None:
        return one.error
    if _drop(one) > limits.drop:
        return f"loses {_drop(one):.4f} on the calibration split, allowed are {limits.drop:.4f}"
    if limits.size_bytes is not None and _size(one) > limits.size_bytes:
        return f"{human_bytes(_size(one))} is over the limit of {human_bytes(limits.size_bytes)}"
    speed = _speed(one, headline)
    if limits.speedup is not None and speed < limits.speedup:
        return f"{speed:.2f}x is under the demanded {limits.speedup:.2f}x of ONNX Runtime fp32"
    if speed <= 1 and not limits.smaller_is_enough:
        return f"not faster than ONNX Runtime fp32 ({speed:.2f}x at {headline})"
    return None


def _reason(one: Tried, winner: Tried, *, close: bool, headline: str) -> str:
    speed = f"{_speed(one, headline):.2f}x of ONNX Runtime fp32 at {headline}"
    if one is winner:
        return _kept(one, speed)
    if close:
        return f"as fast as '{winner.name}' but larger ({human_bytes(_size(one))})"
    return f"slower than '{winner.name}' ({speed})"


def _larger(one: Tried, winner: Tried, headline: str) -> str:
    """The reason where the smallest wins."""
    speed = f"{_speed(one, headline):.2f}x of ONNX Runtime fp32 at {headline}"
    if one is winner:
        return _kept(one, speed)
    return f"larger than '{winner.name}' ({human_bytes(_size(one))}, {speed})"


def _kept(one: Tried, speed: str) -> str:
    return f"kept: {speed}, {human_bytes(_size(one))}, drop {_drop(one):.4f}"


def _speed(one: Tried, headline: str) -> float:
    return one.speedup[headline].value if one.speedup else 0.0


def _size(one: Tried) -> int:
    return one.size_bytes or 0


def _drop(one: Tried) -> float:
    return one.drop or 0.0
