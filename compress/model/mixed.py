"""Bits for the groups of a model's matrices, so that few are spent where they change its answers least."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError
from compress.core.seal import resume_point
from compress.model.sensitivity import Group
from compress.numerics.knapsack import choose

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


def measured_once(path: Path, measure: Callable[[], list[Group]]) -> list[Group]:
    """What was measured, from the file `path` or, where there is none, now: a resume point."""
    if not path.exists():
        with resume_point(path) as part:
            part.write_text(json.dumps([asdict(group) for group in measure()]), encoding="utf8")
    return [_group(value) for value in json.loads(path.read_text(encoding="utf8"))]


def allot(
    groups: Sequence[Group], *, budget: float, grids: Callable[[int], float] = lambda bits: 0.0
) -> list[int]:
    """The bits of each group: of all choices that take `budget` bits in all at most, the one whose
    divergences add up to least. `grids` gives what scales and zero points add to a number of so many bits.

    Raises:
        CompressError: the fewest bits take more.
    """
    bits = [sorted(group.divergence) for group in groups]
    rows = list(zip(groups, bits, strict=True))
    sizes = [[round(group.elements * (own + grids(own))) for own in row] for group, row in rows]
    losses = [[group.divergence[own] for own in row] for group, row in rows]
    least = sum(min(row) for row in sizes)
    if least > budget + 1:
        message = f"the matrices take {least / 8e6:.1f} MB in the fewest bits, {budget / 8e6:.1f} MB are left"
        raise CompressError("size-unreachable", message, hint="allow more, or larger groups")
    return [row[place] for row, place in zip(bits, choose(sizes, losses, int(budget + 1)), strict=True)]


def average_bits(groups: Sequence[Group], bits: Sequence[int]) -> float:
    """Bits a number of groups."""
    total = sum(group.elements for group in groups)
    return sum(group.elements * own for group, own in zip(groups, bits, strict=True)) / max(total, 1)


def describe(groups: Sequence[Group], bits: Sequence[int]) -> str:
    """For the report: every group with its divergence by bits, and its own bits, as JSON."""
    lines = [{**asdict(group), "bits": own} for group, own in zip(groups, bits, strict=True)]
    return json.dumps({"average_bits": average_bits(groups, bits), "groups": lines}, indent=1)


def _group(value: dict[str, Any]) -> Group:
    divergence = {int(bits): loss for bits, loss in value["divergence"].items()}
    return Group(names=tuple(value["names"]), elements=value["elements"], divergence=divergence)
