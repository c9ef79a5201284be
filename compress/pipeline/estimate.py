"""Speed of graphs on a target that this host is not: by the roofline, never called measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from compress.core.report import Figures, Latency, Ratio
from compress.graph.cached import made_up_step
from compress.graph.ort import OrtRunner
from compress.measure.roofline import estimate, estimated_speedup
from compress.pipeline.contenders import FP32, RESULT
from compress.pipeline.workloads import DECODE, PREFILL, STEPS, feeds_of, own_preprocessor, workloads_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from compress.core.artifact import Artifact, Feeds, Progress
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
        own = own_preprocessor(graph, self.base, self.preprocessor, "onnxruntime")
        feeds = feeds_of(workloads_of(self.profile, self.base.kind), own)
        return {name: estimate(graph, self.profile, graph_inputs(graph, one)) for name, one in feeds.items()}


def graph_inputs(graph: Path, feeds: Feeds) -> Feeds:
    """A decoder's prompt, or one token after it, as its graph takes it; other inputs as they are."""
    if STEPS not in feeds:
        return feeds
    inputs, ids = OrtRunner(graph).inputs, feeds["input_ids"]
    if not feeds[STEPS]:
        return made_up_step(inputs, ids, past=0)
    return made_up_step(inputs, ids[:, -1:], past=ids.shape[1])


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
        return {
            name: estimated_figures(self.profile, seconds, size=sizes[name])
            for name, seconds in self.seconds.items()
        }

    def joules_each(self) -> dict[str, float]:
        """None: nothing was metered."""
        return {}

    def samples(self) -> list[Samples]:
        """None: nothing was timed."""
        return []


def estimated_figures(profile: Profile, seconds: Mapping[str, float], *, size: int) -> Figures:
    """From the estimated seconds of a call by workload: of a decoder, or of any other model."""
    if DECODE in seconds:
        return _decoder_figures(profile, seconds, size)
    latency = seconds["latency"] * 1e3
    return Figures(
        size_bytes=size,
        latency_ms=Latency(p50=latency, p95=latency),
        throughput_per_s=profile.workloads["throughput"].batch / seconds["throughput"],
    )


def _decoder_figures(profile: Profile, seconds: Mapping[str, float], size: int) -> Figures:
    decode, prefill = seconds[DECODE], seconds[PREFILL]
    return Figures(
        size_bytes=size,
        latency_ms=Latency(p50=decode * 1e3, p95=decode * 1e3),
        prefill_tokens_per_s=profile.workloads["latency"].length / prefill,
        decode_tokens_per_s=1 / decode,
        time_to_first_token_ms=prefill * 1e3,
    )
