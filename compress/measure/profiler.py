"""Latency by operator, from ONNX Runtime's own profiler: a run apart from those that are timed.

Why apart: writing a record takes time itself, more where operators are many and short. Shares are what is
read from it; how long a call takes, `latency` says.
"""

from __future__ import annotations

import json
import tempfile
import time
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime as ort

from compress.core.errors import CompressError
from compress.graph.ort import session_options
from compress.graph.places import node_components
from compress.graph.trust import check_graph

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BUDGET_S = 1.0
"""Seconds of calls; at least `LEAST` and at most `MOST` of them."""
LEAST, MOST, WARM = 4, 40, 1
_OPTIMIZED = "optimized.onnx"
_CONTAINERS = {"If", "Loop", "Scan"}
"""Operators that only run others, which the record lists themselves."""


@dataclass(frozen=True, kw_only=True)
class NodeTime:
    """One operator of the graph that ran: after ONNX Runtime's own fusions. `seconds` of one call, the lower
    quartile over calls; `component` as `graph.components` names it.
    """

    name: str
    type: str
    component: str
    seconds: float


def node_times(
    graph: Path,
    feeds: Mapping[str, np.ndarray],
    *,
    threads: int = 0,
    provider: str = "CPUExecutionProvider",
    budget_s: float = BUDGET_S,
) -> list[NodeTime]:
    """Run `graph` some times under the profiler, in the order of execution.

    Raises:
        CompressError: onnxruntime cannot load or run the graph here.
    """
    check_graph(graph)
    with tempfile.TemporaryDirectory() as folder:
        try:
            model = _optimized(graph, Path(folder), threads, provider)
            record = _record(Path(folder) / _OPTIMIZED, feeds, threads, provider, budget_s)
        except Exception as error:  # onnxruntime's exceptions share no base class but this one
            reason = str(error).splitlines()[0]
            message = f"cannot profile {graph.name}: {reason}"
            raise CompressError("graph-unloadable", message, hint="see `compress doctor`") from error
        return times_of(json.loads(record.read_text(encoding="utf8")), node_components(model))


def _optimized(graph: Path, folder: Path, threads: int, provider: str) -> onnx.ModelProto:
    """Write the graph as ONNX Runtime fuses it, each operator with a name, and give it without its weights.

    Why: the record has names alone, and those that fused operators get tell nothing of their weights.
    """
    options = session_options(threads)
    options.optimized_model_filepath = str(folder / _OPTIMIZED)
    weights = "session.optimized_model_external_initializers_file_name"
    options.add_session_config_entry(weights, f"{_OPTIMIZED}.data")
    ort.InferenceSession(str(graph), options, providers=[provider])
    model = onnx.load_model(str(folder / _OPTIMIZED), load_external_data=False)
    for index, node in enumerate(model.graph.node):
        node.name = f"{index}"
    (folder / _OPTIMIZED).write_bytes(model.SerializeToString())
    return model


def _record(
    graph: Path, feeds: Mapping[str, np.ndarray], threads: int, provider: str, budget_s: float
) -> Path:
    options = session_options(threads)
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL  # done before
    options.enable_profiling = True
    options.profile_file_prefix = str(graph.with_name("profile"))
    session = ort.InferenceSession(str(graph), options, providers=[provider])
    _run(session, feeds, budget_s)
    return Path(session.end_profiling())


def _run(session: Any, feeds: Mapping[str, np.ndarray], budget_s: float) -> None:
    names = {node.name for node in session.get_inputs()}
    own = {name: array for name, array in feeds.items() if name in names}
    start, calls = time.perf_counter(), 0
    while calls < WARM + LEAST or (calls < WARM + MOST and time.perf_counter() - start < budget_s):
        session.run(None, own)
        calls += 1


def times_of(events: Sequence[Mapping[str, Any]], places: Mapping[str, str]) -> list[NodeTime]:
    """The time of each node, the lower quartile over the calls of a record, the first `WARM` left out.

    Why not the median: what interrupts a call only adds to it, and to long operators more often than to short
    ones. A node that runs several times in a call, inside a loop, counts with all of them.
    """
    starts = sorted(event["ts"] for event in events if event["name"] == "model_run")
    calls: dict[str, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    types: dict[str, str] = {}
    for event in events:
        name = event["name"].removesuffix("_kernel_time")
        call = bisect_right(starts, event["ts"]) - 1
        if name == event["name"] or call < WARM or event["args"]["op_name"] in _CONTAINERS:
            continue
        types[name] = event["args"]["op_name"]
        calls[name][call] += event["dur"] / 1e6
    counted = range(min(WARM, len(starts)), len(starts))
    return [
        NodeTime(
            name=name,
            type=types[name],
            component=places.get(name, "other"),
            seconds=float(np.quantile([own.get(call, 0.0) for call in counted], 0.25)),
        )
        for name, own in calls.items()
    ]


def sums(times: Sequence[NodeTime], key: str) -> dict[str, float]:
    """Seconds of a call by `type` or by `component`, the most first."""
    total: dict[str, float] = defaultdict(float)
    for one in times:
        total[getattr(one, key)] += one.seconds
    return dict(sorted(total.items(), key=lambda item: -item[1]))
