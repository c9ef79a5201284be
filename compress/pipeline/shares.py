"""Where the time of one call goes, by part of a model or an artifact, measured here: for `inspect`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from compress.core.errors import CompressError
from compress.measure.module_times import module_times
from compress.measure.profiler import node_times, sums
from compress.model.load import load_module
from compress.pipeline.again import kind_of
from compress.pipeline.estimate import graph_inputs
from compress.pipeline.operators import PROFILED
from compress.pipeline.speed import threads_of
from compress.pipeline.workloads import PREFILL, STEPS, feeds_of, headline_of, workloads_of
from compress.runtime.preprocess import load_preprocessor

if TYPE_CHECKING:
    from compress.core.artifact import Feeds
    from compress.core.profile import Profile
    from compress.measure.profiler import NodeTime
    from compress.pipeline.subjects import Subject


@dataclass(frozen=True, kw_only=True)
class Shares:
    """Of one call of a workload: the time of each operator of a graph, or of each module of a checkpoint."""

    workload: str
    batch: int
    length: int
    threads: int
    times: tuple[NodeTime, ...]

    @property
    def milliseconds(self) -> dict[str, float]:
        """By component, the most first."""
        return {name: 1e3 * seconds for name, seconds in sums(self.times, "component").items()}

    @property
    def by_type(self) -> dict[str, float]:
        """Seconds by operator, or by class of module, the most first."""
        return sums(self.times, "type")

    @property
    def shares(self) -> dict[str, float]:
        """The share of each component."""
        spent = self.milliseconds
        total = sum(spent.values()) or 1.0
        return {name: value / total for name, value in spent.items()}


def measure_shares(subject: Subject, profile: Profile) -> Shares:
    """Run a model or an artifact a few times and see where the time goes. Loads all its weights.

    The workload is the one that speedups are quoted of; of a decoder's checkpoint the prompt.

    Raises:
        CompressError: it cannot be loaded or run, or its runtime keeps no such record.
    """
    kind = kind_of([subject])
    name = headline_of(kind)
    if subject.runtime == "torch" and subject.task == "text-generation":
        name = PREFILL
    workload = workloads_of(profile, kind)[name]
    preprocessor = load_preprocessor(subject.folder, task=subject.task, inputs=subject.specs())
    feeds = feeds_of({name: workload}, preprocessor)[name]
    threads = threads_of(profile)
    if subject.runtime == "torch":
        times = _module(subject, feeds, threads)
    else:
        times = _graph(subject, feeds, profile)
    return Shares(
        workload=name, batch=workload.batch, length=workload.length, threads=threads, times=tuple(times)
    )


def _graph(subject: Subject, feeds: Feeds, profile: Profile) -> list[NodeTime]:
    if subject.runtime not in PROFILED:
        message = f"{subject.runtime} keeps no record of its operators that is read here"
        raise CompressError("runtime-unprofiled", message, hint="leave --latency out")
    inputs = graph_inputs(subject.graph, feeds)
    provider = profile.execution_provider
    return node_times(subject.graph, inputs, threads=threads_of(profile), provider=provider)


def _module(subject: Subject, feeds: Feeds, threads: int) -> list[NodeTime]:
    module = load_module(subject.folder, subject.task)
    if getattr(module.config, "use_cache", False):
        module.config.use_cache = False
    tensors = {name: torch.from_numpy(array) for name, array in feeds.items() if name != STEPS}
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return module_times(module, tensors)
    finally:
        torch.set_num_threads(before)
