"""Sizes, drops and times as people write them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from compress.core.errors import CompressError

_BYTES = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


def parse_size(text: str) -> int:
    """Read the bytes of `18MB`, `1.5 GiB` or `20000000B`. A unit is required: `20` could mean anything.

    Raises:
        CompressError: `text` is not a positive size with a unit.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", text)
    if match and not match.group(2):
        number = match.group(1)
        hint = f"write {number}MB, {number}kB or {number}B"
        raise CompressError("budget-invalid", f"the size '{text}' has no unit", hint=hint)
    unit = match.group(2).lower() if match else ""
    if not match or unit not in _BYTES or float(match.group(1)) == 0:
        message = f"'{text}' is not a size"
        raise CompressError("budget-invalid", message, hint="write 18MB, 1.5GiB or 20000000B")
    return int(float(match.group(1)) * _BYTES[unit])


def parse_ratio(text: str) -> float:
    """The factor in `2`, `2.4` or `2.4x`.

    Raises:
        CompressError: `text` is not a positive factor.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*x?\s*", text)
    if not match or float(match.group(1)) == 0:
        message = f"'{text}' is not a factor"
        raise CompressError("budget-invalid", message, hint="write 2 or 2.4x")
    return float(match.group(1))


@dataclass(frozen=True)
class MaxDrop:
    """The largest loss of accuracy that is accepted, as written."""

    amount: float
    form: Literal["points", "share", "ratio"]
    text: str


def parse_max_drop(text: str) -> MaxDrop:
    """Read `0.5pt` (points of the metric), `1%` (share of the baseline) or `1.05x` (perplexity).

    Raises:
        CompressError: `text` is none of these.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(pt|%|x)\s*", text)
    if not match or (match.group(2) == "x" and float(match.group(1)) < 1):
        message = f"'{text}' is not an accuracy budget"
        raise CompressError("budget-invalid", message, hint="write 0.5pt, 1% or 1.05x")
    amount, unit = float(match.group(1)), match.group(2)
    if unit == "pt":
        return MaxDrop(amount, "points", text)
    return MaxDrop(amount / 100, "share", text) if unit == "%" else MaxDrop(amount, "ratio", text)


def human_bytes(count: float) -> str:
    """Bytes in decimal units with three significant digits: `22.9 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 999.5 or unit == "GB":
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.3g} {unit}"


def parse_duration_ms(text: str) -> float:
    """Read the milliseconds of `10ms` or `0.5s`. A unit is required.

    Raises:
        CompressError: `text` is not a positive time with a unit.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s)?\s*", text)
    if match and not match.group(2):
        number = match.group(1)
        hint = f"write {number}ms or {number}s"
        raise CompressError("budget-invalid", f"the time '{text}' has no unit", hint=hint)
    if not match or float(match.group(1)) == 0:
        raise CompressError("budget-invalid", f"'{text}' is not a time", hint="write 10ms or 0.5s")
    return float(match.group(1)) * (1000 if match.group(2) == "s" else 1)
