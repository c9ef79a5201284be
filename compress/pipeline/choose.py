"""Which candidate is published: the fastest that is foreseen to pass the gate, and among equals the smallest;
or, where size is what a preset is after, the smallest that is faster than ONNX Runtime fp32.

Why so: candidates are judged on the choice part and gated on the test part, which no choice has seen. So a
candidate counts by the bound that the test part will have (`forecast`), not by its mean on few items. Speeds
whose intervals overlap are equal, so a smaller file decides.

Where the winner may still fail, a `fallback` that hardly can is named: the gate tests it first (`settle`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from compress.core.units import human_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from compress.core.report import Ratio
    from compress.pipeline.forecast import Forecast

SURE = 0.95
"""Probability of passing the gate from which a candidate needs no fallback, and may be one."""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """A candidate and what was measured of it on the choice part.

    `forecast` is of its bound on the test part (None: nothing is known but the drop), `speedup` is over ONNX
    Runtime fp32 at each workload; `error` says why it could not be made.
    """

    name: str
    size_bytes: int | None = None
    drop: float | None = None
    forecast: Forecast | None = None
    speedup: Mapping[str, Ratio] | None = None
    error: str | None = None


@dataclass(frozen=True)
class Choice:
    """The name of the winner (None: nothing beat fp32), a reason for each candidate, and the name of the
    candidate that takes the winner's place if that fails the gate (None: there is none, or no need).
    """

    winner: str | None
    why: dict[str, str]
    fallback: str | None = None


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
    """Choose the winner by its speed at the `headline` workload, or by its size.

    Args:
        tried: The candidates.
        limits: What the winner must keep to.
        headline: The workload whose speed counts.

    Returns:
        The choice, with a reason for every candidate.
    """
    why = {one.name: reason for one in tried if (reason := _unfit(one, limits, headline))}
    fit = [one for one in tried if one.name not in why]
    if not fit:
        return Choice(None, why)
    hopeful = [one for one in fit if _bound(one) <= limits.drop]
    rivals = hopeful or [one for one in fit if _bound(one) == min(map(_bound, fit))]
    rivals = [one for one in rivals if _is_fast_enough(one, limits, headline)] or rivals
    why |= {one.name: _doubtful(one, limits, headline) for one in fit if one not in rivals}
    preferred = _smallest if limits.prefer == "size" else _fastest
    winner = preferred(rivals, headline)
    why |= {one.name: _reason(one, winner, limits, headline) for one in rivals}
    return Choice(winner.name, why, _fallback(fit, winner, limits, preferred, headline))


def _smallest(candidates: Sequence[Tried], headline: str) -> Tried:
    return min(candidates, key=lambda one: (_size(one), -_speed(one, headline)))


def _fastest(candidates: Sequence[Tried], headline: str) -> Tried:
    """The smallest of those whose speed may be the highest."""
    leader = max(candidates, key=lambda one: _speed(one, headline))
    return min(_as_fast(candidates, leader, headline), key=lambda one: (_size(one), _drop(one)))


def _as_fast(candidates: Sequence[Tried], leader: Tried, headline: str) -> list[Tried]:
    return [one for one in candidates if _overlap(one, leader, headline)]


def _overlap(one: Tried, other: Tried, headline: str) -> bool:
    """Whether the intervals of two speeds share a value."""
    if not one.speedup or not other.speedup:
        return True
    first, second = one.speedup[headline], other.speedup[headline]
    return first.low <= second.high and second.low <= first.high


def _fallback(
    fit: Sequence[Tried],
    winner: Tried,
    limits: Limits,
    preferred: Callable[[Sequence[Tried], str], Tried],
    headline: str,
) -> str | None:
    """The best candidate that surely passes, or the surest that is surer than the winner."""
    if _chance(winner, limits) >= SURE:
        return None
    sure = [one for one in fit if _chance(one, limits) >= SURE]
    if sure:
        return preferred(sure, headline).name
    surest = max(fit, key=lambda one: _chance(one, limits))
    return surest.name if _chance(surest, limits) > _chance(winner, limits) else None


def _unfit(one: Tried, limits: Limits, headline: str) -> str | None:
    if one.error is not None:
        return one.error
    if _drop(one) > limits.drop:
        return f"loses {_drop(one):.4f} on the choice part, allowed are {limits.drop:.4f}"
    if limits.size_bytes is not None and _size(one) > limits.size_bytes:
        return f"{human_bytes(_size(one))} is over the limit of {human_bytes(limits.size_bytes)}"
    speed = _speed(one, headline)
    if limits.speedup is not None and speed < limits.speedup:
        return f"{speed:.2f}x is under the demanded {limits.speedup:.2f}x of ONNX Runtime fp32"
    if speed <= 1 and not limits.smaller_is_enough:
        return f"not faster than ONNX Runtime fp32 ({speed:.2f}x at {headline})"
    return None


def _is_fast_enough(one: Tried, limits: Limits, headline: str) -> bool:
    """Whether the gate, which takes the lower end of the interval, is foreseen to pass the speedup."""
    return limits.speedup is None or not one.speedup or one.speedup[headline].low >= limits.speedup


def _doubtful(one: Tried, limits: Limits, headline: str) -> str:
    if _bound(one) <= limits.drop and limits.speedup is not None and one.speedup:
        low = one.speedup[headline].low
        return f"may be only {low:.2f}x as fast as ONNX Runtime fp32, demanded are {limits.speedup:.2f}x"
    return (
        f"loses {_drop(one):.4f} on the choice part; its bound on the test part would be about "
        f"{_bound(one):.4f}, allowed are {limits.drop:.4f}"
    )


def _reason(one: Tried, winner: Tried, limits: Limits, headline: str) -> str:
    speed = f"{_speed(one, headline):.2f}x of ONNX Runtime fp32 at {headline}"
    size = human_bytes(_size(one))
    if one is winner:
        return f"kept: {speed}, {size}, drop {_drop(one):.4f}"
    if limits.prefer == "size":
        return f"larger than '{winner.name}' ({size}, {speed})"
    if _size(one) >= _size(winner) and _overlap(one, winner, headline):
        return f"as fast as '{winner.name}' but larger ({size})"
    return f"slower than '{winner.name}' ({speed})"


def _speed(one: Tried, headline: str) -> float:
    return one.speedup[headline].value if one.speedup else 0.0


def _size(one: Tried) -> int:
    return one.size_bytes or 0


def _drop(one: Tried) -> float:
    return one.drop or 0.0


def _bound(one: Tried) -> float:
    return one.forecast.bound if one.forecast else _drop(one)


def _chance(one: Tried, limits: Limits) -> float:
    return one.forecast.chance(limits.drop) if one.forecast else float(_drop(one) <= limits.drop)
