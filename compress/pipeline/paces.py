"""Speed of models side by side, each with inputs of its own: measured here, or estimated for a target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from compress.core.report import Figures, Latency, Ratio, Samples
from compress.measure.latency import Timings, interleave_own, ratio
from compress.measure.roofline import estimate, estimated_speedup
from compress.pipeline.again import contenders_of
from compress.pipeline.costs import cost_of
from compress.runtime.preprocess import load_preprocessor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from compress.core.artifact import Feeds, Progress
    from compress.core.cost import Cost
    from compress.core.profile import Profile
    from compress.measure.remote import Device
    from compress.pipeline.subjects import Subject


class Paces(Protocol):
    """How fast each model is."""

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
) -> Paces:
    """Time all of them in turn, here or on a device.

    Raises:
        CompressError: one cannot be loaded or run.
    """
    contenders = contenders_of(subjects, profile, device=device, progress=progress)
    feeds = {
        (one.name, workload): arrays
        for one in subjects
        for workload, arrays in feeds_of(one, profile).items()
    }
    timings = interleave_own(contenders, feeds, progress=progress, budget_s=seconds, seed=seed, device=device)
    return Measured(profile=profile, timings=timings)


def estimate_paces(
    subjects: Sequence[Subject], profile: Profile, *, reasons: Sequence[str], progress: Progress
) -> Paces:
    """Compute them for a target that is not here; PyTorch's own speed is not estimated.

    Raises:
        CompressError: the profile lacks figures, or a graph cannot run here.
    """
    found: dict[str, dict[str, float]] = {}
    with progress.track("estimate speed", len(subjects)) as advance:
        for one in subjects:
            if one.runtime != "torch":
                feeds = feeds_of(one, profile)
                found[one.name] = {key: estimate(one.graph, profile, feeds[key]) for key in feeds}
            advance()
    noise = [f"speeds are estimated: {reason}" for reason in reasons]
    return Computed(profile=profile, seconds=found, noise=noise)


def feeds_of(one: Subject, profile: Profile) -> dict[str, Feeds]:
    """The profile's workloads as inputs of one model."""
    preprocessor = load_preprocessor(one.folder, task=one.task, inputs=one.specs())
    return {
        name: preprocessor.synthetic(batch=workload.batch, length=workload.length)
        for name, workload in profile.workloads.items()
    }


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Times that were taken."""

    profile: Profile
    timings: Timings

    @property
    def noise(self) -> list[str]:
        """What made them less certain."""
        return self.timings.noise

    def figures(self, one: Subject) -> Figures:
        """Size, time, throughput, load time and memory of one model."""
        timings, batch = self.timings, self.profile.workloads["throughput"].batch
        return Figures(
            size_bytes=one.size_bytes,
            latency_ms=timings.latency_ms(one.name, "latency"),
            throughput_per_s=timings.throughput(one.name, "throughput", batch=batch),
            load_s=timings.load_s[one.name],
            peak_rss_bytes=timings.peak_rss_bytes[one.name],
        )

    def cost(self, one: Subject) -> Cost | None:
        """With the energy that the machine's meter counted, where it has one."""
        joules = self.timings.joules_each(one.name, "throughput")
        each = None if joules is None else joules / self.profile.workloads["throughput"].batch
        return cost_of(self.figures(one), self.profile, joules_each=each)

    def ratio(self, first: str, other: str, workload: str) -> Ratio | None:
        """From the rounds that both ran in."""
        return ratio(self.timings, baseline=first, contender=other, workload=workload)

    def samples(self) -> list[Samples]:
        """Every call."""
        return [
            Samples(
                contender=name,
                workload=workload,
                batch=self.profile.workloads[workload].batch,
                length=self.profile.workloads[workload].length,
                seconds=tuple(float(second) for second in self.timings.seconds(name, workload)),
            )
            for name, workload in self.timings.rounds
        ]


@dataclass(frozen=True, kw_only=True)
class Computed:
    """Times that were estimated: `seconds` of a call by model and workload."""

    profile: Profile
    seconds: Mapping[str, Mapping[str, float]]
    noise: list[str]

    def figures(self, one: Subject) -> Figures:
        """Size and, of graphs, estimated time and throughput."""
        if one.name not in self.seconds:
            return Figures(size_bytes=one.size_bytes)
        latency, call = (self.seconds[one.name][name] for name in ("latency", "throughput"))
        return Figures(
            size_bytes=one.size_bytes,
            latency_ms=Latency(p50=latency * 1e3, p95=latency * 1e3),
            throughput_per_s=self.profile.workloads["throughput"].batch / call,
        )

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
