"""Speed of models side by side, each with inputs of its own: measured here, or estimated for a target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from compress.core.report import Figures
from compress.measure.confinement import NO_LIMITS, Confinement
from compress.measure.latency import Timings, interleave_own, ratio
from compress.measure.roofline import estimate, estimated_speedup
from compress.pipeline.again import contenders_of, kind_of
from compress.pipeline.costs import cost_of
from compress.pipeline.estimate import estimated_figures, graph_inputs
from compress.pipeline.speed import figures_of, joules_of, samples_of
from compress.pipeline.workloads import feeds_of, workloads_of
from compress.runtime.preprocess import load_preprocessor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from compress.core.artifact import Feeds, Progress
    from compress.core.cost import Cost
    from compress.core.profile import Profile, Workload
    from compress.core.report import Ratio, Samples
    from compress.measure.remote import Device
    from compress.pipeline.subjects import Subject


class Paces(Protocol):
    """How fast each model is."""

    @property
    def workloads(self) -> Mapping[str, Workload]:
        """What was timed, by name."""

    @property
    def noise(self) -> list[str]:
        """What made it less certain."""

    def figures(self, one: Subject) -> Figures:
        """Size and speed of one model."""

    def cost(self, one: Subject) -> Cost | None:
        """What one model costs, None where its speed is not known."""

    def ratio(self, first: str, other: str, workload: str) -> Ratio | None:
        """How many times faster `other` is than `first`, by name; None where it is not known."""

    def samples(self) -> list[Samples]:
        """The raw times."""


def measure_paces(
    subjects: Sequence[Subject],
    profile: Profile,
    *,
    seconds: float,
    seed: int,
    progress: Progress,
    device: Device | None = None,
    confinement: Confinement = NO_LIMITS,
) -> Paces:
    """Time all of them in turn, here under the limits of `confinement`, or on a device.

    Raises:
        CompressError: one cannot be loaded or run.
    """
    workloads = workloads_of(profile, kind_of(subjects))
    contenders = contenders_of(subjects, profile, device=device, confinement=confinement, progress=progress)
    own = {one.name: inputs_for(one, workloads) for one in subjects}
    feeds = {(name, workload): arrays for name, given in own.items() for workload, arrays in given.items()}
    timings = interleave_own(contenders, feeds, progress=progress, budget_s=seconds, seed=seed, device=device)
    timings.noise.extend(confinement.told_refused())
    return Measured(profile=profile, workloads=workloads, feeds=own, timings=timings)


def estimate_paces(
    subjects: Sequence[Subject], profile: Profile, *, reasons: Sequence[str], progress: Progress
) -> Paces:
    """Compute them for a target that is not here; PyTorch's own speed is not estimated.

    Raises:
        CompressError: the profile lacks figures, or a graph cannot run here.
    """
    workloads = workloads_of(profile, kind_of(subjects))
    found: dict[str, dict[str, float]] = {}
    with progress.track("estimate speed", len(subjects)) as advance:
        for one in subjects:
            if one.runtime != "torch":
                found[one.name] = {
                    name: estimate(one.graph, profile, graph_inputs(one.graph, feeds))
                    for name, feeds in inputs_for(one, workloads).items()
                }
            advance()
    noise = [f"speeds are estimated: {reason}" for reason in reasons]
    return Computed(profile=profile, workloads=workloads, seconds=found, noise=noise)


def inputs_for(one: Subject, workloads: Mapping[str, Workload]) -> dict[str, Feeds]:
    """The workloads as inputs of one model."""
    return feeds_of(workloads, load_preprocessor(one.folder, task=one.task, inputs=one.specs()))


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Times that were taken."""

    profile: Profile
    workloads: Mapping[str, Workload]
    feeds: Mapping[str, Mapping[str, Feeds]]
    """By model and workload."""
    timings: Timings

    @property
    def noise(self) -> list[str]:
        """What made them less certain."""
        return self.timings.noise

    def figures(self, one: Subject) -> Figures:
        """Size, time, throughput (of decoders of tokens), load time and memory of one model."""
        feeds = self.feeds[one.name]
        return figures_of(self.timings, one.name, size=one.size_bytes, workloads=self.workloads, feeds=feeds)

    def cost(self, one: Subject) -> Cost | None:
        """With the energy that the machine's meter counted, where it has one."""
        joules = joules_of(self.timings, one.name, self.workloads)
        return cost_of(self.figures(one), self.profile, joules_each=joules)

    def ratio(self, first: str, other: str, workload: str) -> Ratio | None:
        """From the rounds that both ran in."""
        return ratio(self.timings, baseline=first, contender=other, workload=workload)

    def samples(self) -> list[Samples]:
        """Every call."""
        return samples_of(self.timings, self.workloads)


@dataclass(frozen=True, kw_only=True)
class Computed:
    """Times that were estimated: `seconds` of a call by model and workload."""

    profile: Profile
    workloads: Mapping[str, Workload]
    seconds: Mapping[str, Mapping[str, float]]
    noise: list[str]

    def figures(self, one: Subject) -> Figures:
        """Size and, of graphs, estimated time and throughput."""
        if one.name not in self.seconds:
            return Figures(size_bytes=one.size_bytes)
        return estimated_figures(self.profile, self.seconds[one.name], size=one.size_bytes)

    def cost(self, one: Subject) -> Cost | None:
        """From the estimated time."""
        return cost_of(self.figures(one), self.profile, joules_each=None)

    def ratio(self, first: str, other: str, workload: str) -> Ratio | None:
        """Of two estimates, with what such ratios are off by."""
        if first not in self.seconds or other not in self.seconds:
            return None
        return estimated_speedup(self.seconds[first][workload], self.seconds[other][workload])

    def samples(self) -> list[Samples]:
        """None: nothing was timed."""
        return []
