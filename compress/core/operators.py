"""Where the time of a call goes, before and after: a part of `report.json`."""

from __future__ import annotations

from typing import Literal

from compress.core.config import Frozen

Side = Literal["before", "after"]


class TimeLine(Frozen):
    """Milliseconds of one call in the operators of one type or component, and how many of them ran. Of a
    side that was not profiled all are 0.
    """

    name: str
    before_ms: float
    after_ms: float
    before_count: int
    after_count: int


class SavingLine(Frozen):
    """What a pruning step would save of the original: weights, their bytes in fp32, and their share of all.

    `latency_share` is an estimate: the measured share of a call of the fp32 graph that the parts take which
    it shrinks, times the fraction that it takes of them. None where no call was profiled.
    """

    step: str
    removes: str
    parameters: int
    size_bytes: int
    share: float
    latency_share: float | None


class Operators(Frozen):
    """What ONNX Runtime's profiler recorded of one call of a workload, for the fp32 graph (before) and the
    artifact (after), as each was fused and ran: in a run apart from those that speed was taken from.
    """

    workload: str
    batch: int
    length: int
    by_type: tuple[TimeLine, ...]
    by_component: tuple[TimeLine, ...]
    profiled: tuple[Side, ...]
    """`before`, and `after` where the artifact's runtime has such a record."""
