"""Speed of graphs on a target that this host is not: by the roofline, never called measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from compress.core.report import Figures, Latency, Ratio
from compress.measure.roofline import estimate, estimated_speedup
from compress.pipeline.contenders import FP32, RESULT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from compress.core.artifact import Artifact, Progress
    from compress.core.profile import Profile
    from compress.core.report import Samples
    from compress.pipeline.contenders import Candidate
    from compress.pipeline.speed import Ratios
    from compress.runtime.preprocess import Preprocessor


@dataclass(frozen=True, kw_only=True)
class Estimator:
    """What `Stopwatch` is, for targets that are not here. PyTorch's own speed is not estimated."""

    profile: Profile
    base: Artifact
    preprocessor: Preprocessor
    progress: Progress
    differences: tuple[str, ...]

    def compare(self, candidates: Sequence[Candidate]) -> Ratios:
        """Estimated speedups of the candidates over ONNX Runtime fp32.

        Raises:
            CompressError: the profile lacks figures, or a graph cannot run here.
        """
        with self.progress.track("estimate speed", len(candidates) + 1) as advance:
            base = self._seconds(self.base.graph)
            advance()
            found = {}
            for one in candidates:
                found[one.recipe.name] = _speedups(base, self._seconds(one.artifact.graph))
                advance()
        return {FP32: found}

    def final(self, graph: Path, *, runtime: str) -> EstimatedFinal:
        """Estimated times of the result and of the fp32 graph."""
        del runtime
        with self.progress.track("estimate speed", 2):
            seconds = {FP32: self._seconds(self.base.graph), RESULT: self._seconds(graph)}
        return EstimatedFinal(profile=self.profile, seconds=seconds, differences=self.differences)

    def _seconds(self, graph: Path) -> dict[str, float]:
        return {
            name: estimate(
                graph,
                self.profile,
                self.preprocessor.synthetic(batch=workload.batch, length=workload.length),
            )
            for name, workload in self.profile.workloads.items()
        }


def _speedups(base: Mapping[str, float], result: Mapping[str, float]) -> dict[str, Ratio]:
    return {name: estimated_speedup(base[name], result[name]) for name in base}


@dataclass(frozen=True, kw_only=True)
class EstimatedFinal:
    """What `speed.Final` is, estimated: there are no samples, load times or memory."""

    profile: Profile
    seconds: dict[str, dict[str, float]]
    differences: tuple[str, ...]

    @property
    def ratios(self) -> dict[str, dict[str, Ratio]]:
        """Speedups by baseline and workload."""
        return {FP32: _speedups(self.seconds[FP32], self.seconds[RESULT])}

    @property
    def noise(self) -> list[str]:
        """Why nothing was measured."""
        return [f"speeds are estimated: {reason}" for reason in self.differences]

    def figures(self, sizes: Mapping[str, int]) -> dict[str, Figures]:
        """Size and estimated speed of each contender that was estimated."""
        return {name: self._figures(name, sizes[name]) for name in self.seconds}

    def _figures(self, name: str, size: int) -> Figures:
        latency = self.seconds[name]["latency"] * 1e3
        batch = self.profile.workloads["throughput"].batch
        return Figures(
            size_bytes=size,
            latency_ms=Latency(p50=latency, p95=latency),
            throughput_per_s=batch / self.seconds[name]["throughput"],
        )

    def joules_each(self) -> dict[str, float]:
        """None: nothing was metered."""
        return {}

    def samples(self) -> list[Samples]:
        """None: nothing was timed."""
        return []
