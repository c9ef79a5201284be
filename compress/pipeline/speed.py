"""Speed of candidates and of the result, in turn with both baselines, at the profile's workloads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from compress.core.artifact import GRAPH_NAME, ArtifactKind
from compress.core.cores import usable_cores
from compress.core.report import Figures, Ratio, Samples
from compress.graph.session import GENAI
from compress.measure.confinement import NO_LIMITS, Confinement
from compress.measure.latency import Timings, interleave_own, ratio
from compress.measure.processes import Contender, Runtime, Timed, WorkerFailed
from compress.model.arithmetic import has_bfloat16
from compress.pipeline.contenders import FP32, RESULT, TORCH, TORCH_BFLOAT16
from compress.pipeline.remotely import sent
from compress.pipeline.workloads import DECODE, PREFILL, feeds_of, own_preprocessor, workloads_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from compress.core.artifact import Artifact, Feeds, Progress
    from compress.core.profile import Profile, Workload
    from compress.measure.remote import Device
    from compress.pipeline.contenders import Candidate
    from compress.runtime.preprocess import Preprocessor

_PYTORCH = {TORCH: "PyTorch", TORCH_BFLOAT16: "PyTorch in bfloat16"}
"""Baselines that a target may be too small for, and what they are called."""

Ratios = dict[str, dict[str, dict[str, Ratio]]]
"""By baseline, contender and workload."""


@dataclass(frozen=True, kw_only=True)
class Stopwatch:
    """Times contenders against the checkpoint in PyTorch and its fp32 graph in ONNX Runtime."""

    profile: Profile
    checkpoint: Artifact
    base: Artifact
    preprocessor: Preprocessor
    progress: Progress
    seconds: float
    seed: int = 0
    confinement: Confinement = NO_LIMITS
    device: Device | None = None
    """Where contenders are timed, if not here: without PyTorch, which devices are not asked to have."""

    def compare(self, candidates: Sequence[Candidate]) -> Ratios:
        """Time the candidates; ratios only, since the winner is timed again.

        Raises:
            CompressError: a contender cannot be loaded or run.
        """
        if not candidates:
            return {}
        others = [
            self._graph(one.recipe.name, one.artifact.graph, runtime=one.recipe.runtime) for one in candidates
        ]
        timings = self._race(others)
        return self._ratios(timings, [one.name for one in others])

    def final(self, graph: Path, *, runtime: str) -> Final:
        """Time the result alone with both baselines; of decoders also with PyTorch in bfloat16, where the
        processor has products in it.

        Raises:
            CompressError: a contender cannot be loaded or run.
        """
        result = self._graph(RESULT, graph, runtime=runtime)
        more = [self._torch(TORCH_BFLOAT16)] if self._is_decoder and has_bfloat16() else []
        return Final(stopwatch=self, timings=self._race([result], more), graph=graph)

    def ratios_of(self, timings: Timings) -> dict[str, dict[str, Ratio]]:
        """The result's speedups, by baseline and workload."""
        found = self._ratios(timings, [RESULT])
        return {baseline: by_name[RESULT] for baseline, by_name in found.items()}

    @property
    def _is_decoder(self) -> bool:
        return self.base.kind is ArtifactKind.GENAI

    def _race(self, others: Sequence[Contender], more: Sequence[Contender] = ()) -> Timings:
        """Without what of PyTorch the target has not the memory for: that is no reason to time nothing."""
        runtime = GENAI if self._is_decoder else "onnxruntime"
        graph = self._graph(FP32, self.base.graph, runtime=runtime)
        if self.device:
            timings = self._in_turn([graph], others)
            timings.noise.append(f"{_PYTORCH[TORCH]} was not timed: a device is sent graphs alone")
            return timings
        return self._fitting([self._torch(), graph, *more], others)

    def _fitting(self, baselines: Sequence[Contender], others: Sequence[Contender]) -> Timings:
        try:
            return self._in_turn(baselines, others)
        except WorkerFailed as error:
            if error.contender not in _PYTORCH or not error.out_of_memory:
                raise
            missing = error.contender
        timings = self._fitting([one for one in baselines if one.name != missing], others)
        why = f"it needs more than {self.confinement.memory}"
        timings.noise.append(f"{_PYTORCH[missing]} was not timed: {why}")
        return timings

    def _in_turn(self, baselines: Sequence[Contender], others: Sequence[Contender]) -> Timings:
        contenders = [*baselines, *others]
        shared = self.feeds()
        feeds = {
            (one.name, workload): arrays
            for one in contenders
            for workload, arrays in (self._own_feeds(one) if one in others else shared).items()
        }
        timed: Sequence[Timed] = contenders
        if self.device:
            graphs = [(one.name, one.model) for one in contenders]
            timed = sent(self.device, graphs, self.profile, progress=self.progress)
        return interleave_own(
            timed,
            feeds,
            progress=self.progress,
            budget_s=self.seconds,
            seed=self.seed,
            device=self.device,
        )

    def _own_feeds(self, contender: Contender) -> Mapping[str, Feeds]:
        """The workloads as ids of a contender's own vocabulary, token for token."""
        graph = contender.model / GRAPH_NAME if contender.model.is_dir() else contender.model
        own = own_preprocessor(graph, self.base, self.preprocessor, contender.runtime)
        return feeds_of(self.workloads, own)

    def feeds(self) -> dict[str, Feeds]:
        """The workloads as inputs."""
        return feeds_of(self.workloads, self.preprocessor)

    @property
    def workloads(self) -> dict[str, Workload]:
        """What is timed."""
        return workloads_of(self.profile, self.base.kind)

    def _ratios(self, timings: Timings, names: Sequence[str]) -> Ratios:
        return {
            baseline: {
                name: {
                    workload: ratio(timings, baseline=baseline, contender=name, workload=workload)
                    for workload in self.workloads
                }
                for name in names
            }
            for baseline in (TORCH, FP32, TORCH_BFLOAT16)
            if baseline in timings.load_s
        }

    def _torch(self, name: str = TORCH) -> Contender:
        return Contender(
            name=name,
            model=self.checkpoint.folder,
            runtime="torch",
            task=self.checkpoint.task,
            threads=threads_of(self.profile),
            confinement=self.confinement,
            dtype="bfloat16" if name == TORCH_BFLOAT16 else "float32",
        )

    def _graph(self, name: str, graph: Path, *, runtime: str) -> Contender:
        kind = worker_runtime(runtime)
        return Contender(
            name=name,
            model=graph.parent if kind == GENAI else graph,
            runtime=kind,
            task=self.checkpoint.task,
            threads=threads_of(self.profile),
            provider=self.profile.execution_provider,
            confinement=self.confinement,
        )


@dataclass(frozen=True, kw_only=True)
class Final:
    """The times of the result and of both baselines, and what follows from them."""

    stopwatch: Stopwatch
    timings: Timings
    graph: Path

    @property
    def ratios(self) -> dict[str, dict[str, Ratio]]:
        """Speedups by baseline and workload."""
        return self.stopwatch.ratios_of(self.timings)

    @property
    def noise(self) -> list[str]:
        """What made the times less certain."""
        return [*self.timings.noise, *self.stopwatch.confinement.told_refused()]

    def figures(self, sizes: Mapping[str, int]) -> dict[str, Figures]:
        """Size and speed of each contender whose size is given."""
        workloads, feeds = self.stopwatch.workloads, self.stopwatch.feeds()
        return {
            name: figures_of(self.timings, name, size=size, workloads=workloads, feeds=feeds)
            for name, size in sizes.items()
            if name in self.timings.load_s
        }

    def joules_each(self) -> dict[str, float]:
        """Of one item of the `throughput` workload (of a decoder: of one token) by contender, where the
        machine has a meter.
        """
        names = {name for name, _ in self.timings.rounds}
        found = {name: joules_of(self.timings, name, self.stopwatch.workloads) for name in names}
        return {name: joules for name, joules in found.items() if joules is not None}

    def samples(self) -> list[Samples]:
        """The raw times."""
        return samples_of(self.timings, self.stopwatch.workloads)


def figures_of(
    timings: Timings,
    name: str,
    *,
    size: int,
    workloads: Mapping[str, Workload],
    feeds: Mapping[str, Feeds],
) -> Figures:
    """Size and speed of one contender, which was given `feeds`."""
    common = Figures(
        size_bytes=size, load_s=timings.load_s[name], peak_rss_bytes=timings.peak_rss_bytes[name]
    )
    if DECODE in workloads:
        tokens = feeds[PREFILL]["input_ids"].size
        return common.model_copy(update=decoder_figures(timings, name, tokens=tokens))
    batch = workloads["throughput"].batch
    update = {
        "latency_ms": timings.latency_ms(name, "latency"),
        "throughput_per_s": timings.throughput(name, "throughput", batch=batch),
    }
    return common.model_copy(update=update)


def joules_of(timings: Timings, name: str, workloads: Mapping[str, Workload]) -> float | None:
    """Of one item or token of one contender, None without a meter."""
    workload = DECODE if DECODE in workloads else "throughput"
    found = timings.joules_each(name, workload)
    return None if found is None else found / workloads[workload].batch


def samples_of(timings: Timings, workloads: Mapping[str, Workload]) -> list[Samples]:
    """Every call's time."""
    return [
        Samples(
            contender=name,
            workload=workload,
            batch=workloads[workload].batch,
            length=workloads[workload].length,
            seconds=tuple(float(second) for second in timings.seconds(name, workload)),
        )
        for name, workload in timings.rounds
    ]


def decoder_figures(timings: Timings, name: str, *, tokens: int) -> dict[str, Any]:
    """Of a decoder, whose latency is that of one token after the prompt of `tokens`."""
    prefill = float(np.median(timings.seconds(name, PREFILL)))
    return {
        "latency_ms": timings.latency_ms(name, DECODE),
        "prefill_tokens_per_s": tokens / prefill,
        "decode_tokens_per_s": timings.throughput(name, DECODE, batch=1),
        "time_to_first_token_ms": prefill * 1e3,
    }


def worker_runtime(runtime: str) -> Runtime:
    """The runtime of a manifest or recipe as contenders name it."""
    known: tuple[Runtime, ...] = ("openvino", "onnxruntime-genai")
    return next((one for one in known if one == runtime), "onnxruntime")


def threads_of(profile: Profile) -> int:
    """The threads that every contender computes with: the profile's, at most one for each core of this
    process's.
    """
    here = usable_cores()
    return min(profile.threads or here, profile.cores or here, here)
