"""How long a layer takes at a width: measured in ONNX Runtime, kept by host and shape, between widths a line.

Why not products counted: kernels work in tiles and threads, so that a width a little under another may take
as long, and small matrices never reach the speed of large ones.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import onnxruntime as ort

from compress.core.cores import usable_cores
from compress.core.errors import CompressError
from compress.core.seal import is_whole, resume_point
from compress.graph.ort import session_options
from compress.graph.small import layer_graph
from compress.measure.host import detect_host, differences

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from onnx import ModelProto

    from compress.core.layers import LayerDtype, LayerShape
    from compress.core.profile import Profile

POINTS = 6
"""Widths that are measured, evenly from the narrowest to the widest."""
_TURNS, _WARM, _LEAST_S = 7, 1, 0.01
_MOST_PRODUCTS = 4e9
"""Multiplications of one call at most, so that a table takes seconds: the batch is cut to that."""


class Timer(Protocol):
    """Measures some graphs against each other."""

    def __call__(self, models: Sequence[ModelProto], x: np.ndarray, *, threads: int) -> list[float]:
        """Seconds of a call of each with the input `x`."""


def in_turn(models: Sequence[ModelProto], x: np.ndarray, *, threads: int) -> list[float]:
    """Each graph's shortest turn of several, taken in turn with the others: what interrupts only adds."""
    sessions = [
        ort.InferenceSession(
            one.SerializeToString(), session_options(threads), providers=["CPUExecutionProvider"]
        )
        for one in models
    ]
    calls: list[Callable[[], object]] = [
        lambda session=session: session.run(None, {"x": x})  # type: ignore[misc]
        for session in sessions
    ]
    for _ in range(_WARM):
        for call in calls:
            call()
    turns = [[_turn(call) for call in calls] for _ in range(_TURNS)]
    return [float(least) for least in np.min(turns, axis=0)]


def _turn(call: Callable[[], object]) -> float:
    """Seconds of a call, over as many as take `_LEAST_S`."""
    start, count = time.perf_counter(), 0
    while not count or time.perf_counter() - start < _LEAST_S:
        call()
        count += 1
    return (time.perf_counter() - start) / count


@dataclass(frozen=True, kw_only=True)
class MeasuredLayers:
    """`core.layers.LayerTimes` of this host, for a profile that it satisfies. Tables stay in `folder`."""

    profile: Profile
    folder: Path
    timer: Timer = in_turn

    def seconds(
        self, shape: LayerShape, units: Sequence[int], *, dtype: LayerDtype, one_token: bool
    ) -> list[float]:
        """Seconds at each number of units, from the table of the layer.

        Raises:
            CompressError: the target is not this host.
        """
        points = np.unique(np.linspace(1, max(units), POINTS).round().astype(int))
        table = self._table(shape, [int(point) for point in points], dtype, one_token)
        # More units never take less time; where it was measured otherwise, that was noise.
        rising = np.maximum.accumulate(table)
        return [float(value) for value in np.interp(units, points, rising)]

    def _table(self, shape: LayerShape, points: list[int], dtype: LayerDtype, one_token: bool) -> list[float]:
        host, workload = detect_host(), self.profile.workloads["throughput"]
        found = differences(self.profile, host)
        if found:
            message = f"layers cannot be timed for {self.profile.name} here: {found[0]}"
            raise CompressError("target-elsewhere", message, hint="give `ratio` instead of `latency`")
        threads = min(self.profile.threads or self.profile.cores or host.cores, usable_cores())
        batch, length = (1, 1) if one_token else (workload.batch, workload.length)
        batch = max(1, min(batch, int(_MOST_PRODUCTS / max(products(shape, points[-1]) * length, 1))))
        settings = {"dtype": dtype, "batch": batch, "length": length, "threads": threads, "points": points}
        key = {**settings, "shape": asdict(shape), "host": asdict(host), "onnxruntime": ort.__version__}
        path = (
            self.folder / f"{hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:40]}.json"
        )
        if not is_whole(path):
            models = [layer_graph(shape, point, dtype) for point in points]
            x = np.random.default_rng(0).standard_normal((batch, length, shape.inside), np.float32)
            _write(path, {**key, "seconds": self.timer(models, x, threads=threads)})
        seconds: list[float] = json.loads(path.read_text(encoding="utf8"))["seconds"]
        return seconds


def products(shape: LayerShape, units: int) -> int:
    """Multiplications of the layer's matrices with one token."""
    return units * (sum(shape.produced) * shape.inside + shape.consumed * shape.outside)


def _write(path: Path, table: dict[str, object]) -> None:
    """Whole or not at all: several runs may share the folder."""
    with resume_point(path) as part:
        part.write_text(json.dumps(table, indent=1), encoding="utf8")
