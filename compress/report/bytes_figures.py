"""Plots of where the bytes went, and of the candidates that were tried."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from compress.report import budgets, tables
from compress.report import format as fmt
from compress.report.charts import Stack, stacked
from compress.report.figures import Figure, Legend, figure
from compress.report.scatter import Axes, Dot, scatter

if TYPE_CHECKING:
    from collections.abc import Callable

    from compress.core.report import CandidateLine, Component, Evidence, Report
    from compress.report.plot import Drawing

_PARTS = ("embedding", "attention", "ffn", "head", "conv", "norm")


def component_figures(evidence: Evidence) -> list[Figure]:
    """Bytes before and after, by part of the model and by dtype, on one scale."""
    if not evidence.components:
        return []
    caption = "The whole model before and after, on one scale, in millions of bytes."
    by_part = _stacks(evidence, lambda part: part.name, part_style)
    by_dtype = _stacks(evidence, lambda part: part.dtype, dtype_style)
    table = tables.components(evidence)
    return [
        figure(
            "parts", "By part of the model", caption, partial(_stacked, stacks=by_part[0]),
            legend=by_part[1], table=table,
        ),
        figure("dtypes", "By dtype", caption, partial(_stacked, stacks=by_dtype[0]), legend=by_dtype[1]),
    ]  # fmt: skip


def _stacks(
    evidence: Evidence, key: Callable[[Component], str], colour: Callable[[str], str]
) -> tuple[tuple[Stack, ...], tuple[Legend, ...]]:
    names = sorted(dict.fromkeys(key(part) for part in evidence.components), key=colour)
    sides = (("before", "before_bytes"), ("after", "after_bytes"))
    stacks = []
    for label, side in sides:
        sums = dict.fromkeys(names, 0)
        for part in evidence.components:
            sums[key(part)] += getattr(part, side)
        segments = tuple(
            (fmt.clean(name, 24), colour(name), sums[name] / 1e6) for name in names if sums[name]
        )
        stacks.append(Stack(label, segments, fmt.size(sum(sums.values()))))
    return tuple(stacks), tuple(Legend(colour(name), fmt.clean(name, 40)) for name in names)


def part_style(name: str) -> str:
    """Classes `p-0` to `p-6` in the order in which data flows through a model."""
    return f"p-{_PARTS.index(name) if name in _PARTS else len(_PARTS)}"


def dtype_style(dtype: str) -> str:
    """Classes by width: `d-1` for 32 bits and more, `d-2` for 16, `d-3` for 8, `d-4` for fewer."""
    found = re.search(r"\d+", dtype)
    bits = int(found.group()) if found else 32
    return f"d-{1 if bits >= 32 else 2 if bits >= 16 else 3 if bits >= 8 else 4}"


def _stacked(width: float, *, stacks: tuple[Stack, ...]) -> Drawing:
    return stacked(stacks, title="MB", width=width)


def candidate_figures(report: Report, evidence: Evidence) -> list[Figure]:
    """Candidates by loss and speed, and by loss and size; numbers are those of the table."""
    metric = report.accuracy.metric if report.accuracy else ""
    numbered = list(enumerate(evidence.candidates, 1))
    unit = "percent lost" if fmt.is_relative(metric) else "points lost"
    budget = budgets.find(report, "max_drop")
    limit = None if budget is None else 100 * budget
    axes = partial(Axes, x=f"{unit}, choice part", limit=limit, limit_label="over budget")
    judged = [(number, line) for number, line in numbered if line.drop is not None]
    fast = [_speed_dot(number, line) for number, line in judged if line.vs_onnxruntime_fp32]
    small = [_size_dot(number, line) for number, line in judged if line.size_bytes is not None]
    kinds = (
        ("trade-speed", "Accuracy against speed", fast, axes(y="times as fast as ORT fp32", reference=1.0)),
        ("trade-size", "Accuracy against size", small, axes(y="size in MB")),
    )
    return [_trade(*kind) for kind in kinds if kind[2]]


def _trade(ident: str, title: str, dots: list[Dot], axes: Axes) -> Figure:
    better = "higher" if ident == "trade-speed" else "lower"
    caption = (
        "Numbers are the rows of the table below; the filled one was chosen. Further left loses less, "
        f"{better} is better, the shaded side is over the accuracy budget."
    )
    return figure(ident, title, caption, partial(_scatter, dots=dots, axes=axes))


def _scatter(width: float, *, dots: list[Dot], axes: Axes) -> Drawing:
    return scatter(dots, axes, width=width)


def _speed_dot(number: int, line: CandidateLine) -> Dot:
    ratios = line.vs_onnxruntime_fp32
    ratio = ratios.get("throughput") or next(iter(ratios.values()))
    loss = 100 * (line.drop or 0.0)
    return Dot(number, fmt.clean(line.name), loss, ratio.value, ratio.low, ratio.high, line.kept)


def _size_dot(number: int, line: CandidateLine) -> Dot:
    loss, size = 100 * (line.drop or 0.0), (line.size_bytes or 0) / 1e6
    return Dot(number, fmt.clean(line.name), loss, size, kept=line.kept)
