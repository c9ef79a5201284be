"""Speed of contenders against each other: in turn, in rounds, until the ratios are certain.

Why in turn: a machine's speed drifts (clock rates, neighbours, other programs) by more than the
differences that are looked for, but little within a round. In every round each contender has one turn
at each workload, in an order drawn anew, and ratios are taken within rounds.
"""

from __future__ import annotations

import math
import random
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from compress.core.report import Latency, Ratio
from compress.measure.clock import Clock
from compress.measure.energy import find_meter
from compress.measure.noise import Usage, machine_noise, unsteady
from compress.measure.processes import PATIENCE_S, Timed, Worker, contenders_started
from compress.stats.ratio import speedup

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from compress.core.artifact import Feeds, Progress
    from compress.measure.energy import Meter
    from compress.measure.remote import Device

MINIMUM_ROUNDS = 7
"""Rounds that are taken even past the budget: with six or more an interval of 95% exists."""
WIDE = 0.05
"""Relative width of a ratio's interval above which more rounds are worth their time."""
LEAST_SHARE = 0.25
"""Share of the budget that is always used: rounds in a row of a second or two are all taken in the same
state of the machine, and agree with each other more than with the truth."""
LAUNCH = 0.008
"""Standard deviation of the logarithm of a ratio from one pair of processes to the next, as seen over 18
launches of the same model: where the system puts a process's memory stays for its life. Rounds cannot
see it, so intervals are widened by it."""
_TURN_S = 0.06
_MOST_CALLS = 10
"""A turn is one call to warm up and then calls for so long, at most so many and at least one."""
_LONG_S = 0.15
"""Calls longer than this need no warm-up in their turn: the caches they find are a small part."""

Place = tuple[str, str]
"""A contender's name and a workload's."""


@dataclass(frozen=True, kw_only=True)
class Timings:
    """Raw times, and what else the workers told. `rounds[contender, workload]` lists, for each round,
    the seconds of each call in it; round i of two contenders belong together.
    """

    rounds: dict[Place, list[list[float]]]
    load_s: dict[str, float]
    """From an imported runtime to a model that can be called."""
    peak_rss_bytes: dict[str, int]
    noise: list[str] = field(default_factory=list)
    joules: dict[Place, list[float]] = field(default_factory=dict)
    """Of a call, for each round, by the machine's meter; empty where it has none that may be read."""

    def seconds(self, contender: str, workload: str) -> np.ndarray:
        """Every call's seconds in the order taken, (calls,)."""
        return np.concatenate([np.asarray(calls) for calls in self.rounds[contender, workload]])

    def medians(self, contender: str, workload: str) -> np.ndarray:
        """The median seconds of each round, (rounds,)."""
        return np.array([np.median(calls) for calls in self.rounds[contender, workload]])

    def joules_each(self, contender: str, workload: str) -> float | None:
        """The median joules of a call over the rounds, None without a meter."""
        found = self.joules.get((contender, workload))
        return float(np.median(found)) if found else None

    def latency_ms(self, contender: str, workload: str) -> Latency:
        """Median and 95th percentile of all calls, in milliseconds."""
        p50, p95 = np.percentile(self.seconds(contender, workload) * 1e3, [50, 95])
        return Latency(p50=float(p50), p95=float(p95))

    def throughput(self, contender: str, workload: str, *, batch: int) -> float:
        """Items a second, where a call takes `batch` items."""
        return batch / float(np.median(self.seconds(contender, workload)))


def ratio(timings: Timings, *, baseline: str, contender: str, workload: str) -> Ratio:
    """How many times faster `contender` is than `baseline`, with its 95% interval."""
    found = speedup(timings.medians(baseline, workload), timings.medians(contender, workload))
    below, above = (_with_launch(found.value / found.low), _with_launch(found.high / found.value))
    return Ratio(value=found.value, low=found.value / below, high=found.value * above)


def _with_launch(factor: float) -> float:
    """Half an interval, as a factor, with what processes of the same model differ by."""
    return math.exp(math.hypot(math.log(factor), 1.96 * LAUNCH))


def interleave(
    contenders: Sequence[Timed],
    workloads: Mapping[str, Feeds],
    *,
    progress: Progress,
    budget_s: float = 20.0,
    rounds: int | None = None,
    seed: int = 0,
    patience_s: float = PATIENCE_S,
    device: Device | None = None,
) -> Timings:
    """Time every contender at every workload.

    At least `MINIMUM_ROUNDS` rounds and a quarter of the budget; then more of each workload whose
    ratios to the first contender are still uncertain, while fewer than `budget_s` seconds have passed.
    `rounds` fixes the number instead. `workloads` maps names to the inputs of one call.

    Raises:
        WorkerFailed: a contender could not be loaded or run.
    """
    feeds = {(one.name, workload): arrays for workload, arrays in workloads.items() for one in contenders}
    return interleave_own(
        contenders,
        feeds,
        progress=progress,
        budget_s=budget_s,
        rounds=rounds,
        seed=seed,
        patience_s=patience_s,
        device=device,
    )


def interleave_own(
    contenders: Sequence[Timed],
    feeds: Mapping[Place, Feeds],
    *,
    progress: Progress,
    budget_s: float = 20.0,
    rounds: int | None = None,
    seed: int = 0,
    patience_s: float = PATIENCE_S,
    device: Device | None = None,
) -> Timings:
    """`interleave`, where each contender has inputs of its own for each workload: models with other
    vocabularies cannot be given the same numbers. `device` is where all of them are, if not here.

    Raises:
        WorkerFailed: a contender could not be loaded or run.
    """
    with tempfile.TemporaryDirectory() as folder:
        written = _written(feeds, Path(folder))
        with contenders_started(contenders, progress=progress, patience_s=patience_s) as workers:
            meter = None if device else find_meter(contenders[0].provider)
            race = _Race(workers, written, random.Random(seed), meter, device)
            return race.run(progress, budget_s=budget_s, rounds=rounds)


def _written(feeds: Mapping[Place, Feeds], folder: Path) -> dict[Place, Path]:
    """Save the arrays where workers read them; those that several contenders share once."""
    files: dict[int, Path] = {}
    for one in feeds.values():
        if id(one) not in files:
            files[id(one)] = folder / f"{len(files)}.npz"
            arrays: dict[str, Any] = dict(one)
            np.savez(files[id(one)], **arrays)
    return {place: files[id(one)] for place, one in feeds.items()}


@dataclass(frozen=True)
class _Turn:
    """How many calls a contender makes at a workload in each round; the first `warm` do not count."""

    warm: int
    calls: int

    @classmethod
    def lasting(cls, seconds: float) -> _Turn:
        """A turn for calls that take so many seconds."""
        calls = min(_MOST_CALLS, max(1, math.ceil(_TURN_S / seconds)))
        return cls(warm=int(seconds < _LONG_S), calls=calls)


class _Race:
    """Loaded workers and the times they have given so far."""

    def __init__(
        self,
        workers: dict[str, Worker],
        feeds: dict[Place, Path],
        order: random.Random,
        meter: Meter | None,
        device: Device | None,
    ) -> None:
        self._workers = workers
        self._feeds = feeds
        self._order = order
        self._meter = meter
        self._device = device
        self._joules: dict[Place, list[float]] = {}
        self._workloads = list(dict.fromkeys(workload for _, workload in feeds))
        self._places = [(contender, workload) for workload in self._workloads for contender in workers]
        self._rounds: dict[Place, list[list[float]]] = {place: [] for place in self._places}

    def run(self, progress: Progress, *, budget_s: float, rounds: int | None) -> Timings:
        with progress.track("warm up", len(self._places)) as advance:
            turns = {}
            for place in self._places:
                turns[place] = self._warm_up(place)
                advance()
        before, used = self._usage(), self._used()
        with progress.track("measure speed", math.ceil(budget_s)) as advance:
            clock = Clock(budget_s)
            while places := self._unfinished(clock, rounds):
                self._round(places, turns)
                advance(clock.whole_seconds())
        after, ours = self._usage(), self._used() - used
        return self._timings(machine_noise(before, after, ours=ours) if before and after else [])

    def _warm_up(self, place: Place) -> _Turn:
        """First calls allocate and pack weights; the last one's time says how long a turn is."""
        first = self._call(place, 1)[0]
        again = self._call(place, _Turn.lasting(first).calls) if first < _LONG_S else [first]
        return _Turn.lasting(min(again))

    def _round(self, places: list[Place], turns: Mapping[Place, _Turn]) -> None:
        for workload in dict.fromkeys(workload for _, workload in places):
            names = [name for name, other in places if other == workload]
            self._order.shuffle(names)
            for place in [(name, workload) for name in names]:
                self._rounds[place].append(self._turn(place, turns[place]))

    def _turn(self, place: Place, turn: _Turn) -> list[float]:
        """The seconds of a turn's calls; its energy is that of all calls, the first one among them."""
        calls = turn.warm + turn.calls
        before = self._meter.joules() if self._meter else 0.0
        seconds = self._call(place, calls)[turn.warm :]
        if self._meter:
            self._joules.setdefault(place, []).append((self._meter.joules() - before) / calls)
        return seconds

    def _call(self, place: Place, calls: int) -> list[float]:
        return self._workers[place[0]].time(self._feeds[place], calls=calls)

    def _unfinished(self, clock: Clock, rounds: int | None) -> list[Place]:
        """The places that want another round: all contenders of a workload or none."""
        wanted = {workload for workload in self._workloads if self._wants(workload, clock, rounds)}
        return [place for place in self._places if place[1] in wanted]

    def _wants(self, workload: str, clock: Clock, rounds: int | None) -> bool:
        first, *others = self._workers
        done = len(self._rounds[first, workload])
        if rounds is not None or done < MINIMUM_ROUNDS:
            return done < (MINIMUM_ROUNDS if rounds is None else rounds)
        if clock.share >= 1 or clock.share < LEAST_SHARE:
            return clock.share < 1
        timings = self._timings([])
        found = [ratio(timings, baseline=first, contender=other, workload=workload) for other in others]
        return any(one.high - one.low > WIDE * one.value for one in found)

    def _timings(self, noise: list[str]) -> Timings:
        timings = Timings(
            rounds=self._rounds,
            load_s={name: worker.load_s for name, worker in self._workers.items()},
            peak_rss_bytes={name: worker.peak_rss_bytes for name, worker in self._workers.items()},
            noise=noise,
            joules=self._joules,
        )
        timings.noise.extend(unsteady({place: timings.medians(*place) for place in self._places}))
        return timings

    def _usage(self) -> Usage | None:
        """Of the machine that the workers are on."""
        return self._device.usage() if self._device else Usage.now()

    def _used(self) -> float:
        """Seconds of that machine's processor time that the workers have taken, and this process if it
        is there too.
        """
        own = 0.0 if self._device else time.process_time()
        return own + sum(worker.cpu_seconds() for worker in self._workers.values())
