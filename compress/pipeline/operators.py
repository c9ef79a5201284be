"""Latency by operator of the fp32 graph and of the result, under the profiler, after all that is timed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from compress.core.operators import Operators, Side, TimeLine
from compress.measure.profiler import node_times, sums
from compress.pipeline.estimate import graph_inputs
from compress.pipeline.speed import threads_of
from compress.pipeline.workloads import feeds_of, headline_of, own_preprocessor, workloads_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from compress.core.artifact import Artifact, Progress
    from compress.core.profile import Profile
    from compress.measure.profiler import NodeTime
    from compress.runtime.preprocess import Preprocessor

PROFILED = ("onnxruntime", "onnxruntime-genai")
"""Runtimes whose graphs ONNX Runtime profiles; of a decoder one step with its cache, not in GenAI itself."""


def profile_operators(
    base: Artifact,
    graph: Path,
    *,
    runtime: str,
    profile: Profile,
    preprocessor: Preprocessor,
    progress: Progress,
) -> Operators:
    """Profile a call of the workload that the speedup is quoted of, of `base` and of `graph`.

    Raises:
        CompressError: a graph cannot be run under the profiler.
    """
    name = headline_of(base.kind)
    workload = workloads_of(profile, base.kind)[name]
    sides: dict[Side, Path] = {"before": base.graph}
    if runtime in PROFILED:
        sides["after"] = graph
    times: dict[Side, list[NodeTime]] = {"before": [], "after": []}
    with progress.track("profile operators", len(sides)) as advance:
        for side, one in sides.items():
            own = own_preprocessor(one, base, preprocessor, "onnxruntime")
            feeds = graph_inputs(one, feeds_of({name: workload}, own)[name])
            provider = profile.execution_provider
            times[side] = node_times(one, feeds, threads=threads_of(profile), provider=provider)
            advance()
    return Operators(
        workload=name,
        batch=workload.batch,
        length=workload.length,
        by_type=time_lines(times["before"], times["after"], "type"),
        by_component=time_lines(times["before"], times["after"], "component"),
        profiled=tuple(sides),
    )


def told_operators(found: Operators | None, *, runtime: str) -> list[str]:
    """What to keep in mind of them."""
    if found is None or "after" in found.profiled:
        return []
    return [f"latency by operator is the fp32 graph's alone: {runtime} has no such record here"]


def time_lines(before: Sequence[NodeTime], after: Sequence[NodeTime], key: str) -> tuple[TimeLine, ...]:
    """Both sides by `type` or `component`, those that took longest on either side first."""
    spent = [sums(before, key), sums(after, key)]
    counts = [Counter(getattr(one, key) for one in side) for side in (before, after)]
    lines = [
        TimeLine(
            name=name,
            before_ms=1e3 * spent[0].get(name, 0.0),
            after_ms=1e3 * spent[1].get(name, 0.0),
            before_count=counts[0][name],
            after_count=counts[1][name],
        )
        for name in dict.fromkeys([*spent[0], *spent[1]])
    ]
    return tuple(sorted(lines, key=lambda line: -max(line.before_ms, line.after_ms)))
