"""Latency by part of a PyTorch module: each submodule's own time, without that of those inside it."""

from __future__ import annotations

import time
from collections import defaultdict
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from compress.graph.components import component_by_name
from compress.measure.profiler import BUDGET_S, LEAST, MOST, WARM, NodeTime

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class _Clock:
    """Which submodules are running, innermost last, and what each has taken itself in this call."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.own: dict[str, float] = defaultdict(float)
        self._now = now
        self._running: list[str] = []
        self._since = 0.0

    def enter(self, name: str) -> None:
        self._pass_on()
        self._running.append(name)

    def leave(self) -> None:
        self._pass_on()
        self._running.pop()

    def _pass_on(self) -> None:
        """Give the time since the last event to the submodule that had it."""
        now = self._now()
        if self._running:
            self.own[self._running[-1]] += now - self._since
        self._since = self._now()


def module_times(
    module: torch.nn.Module,
    feeds: Mapping[str, torch.Tensor],
    *,
    budget_s: float = BUDGET_S,
    now: Callable[[], float] = time.perf_counter,
) -> list[NodeTime]:
    """Call `module` some times and tell each submodule's own seconds, the lower quartile over calls.

    A submodule belongs to the component that its name tells, else to that of the module around it. Products
    of queries and keys are the attention module's own; residual sums are the block's, and `other`.
    """
    calls: list[dict[str, float]] = []
    with ExitStack() as hooks, torch.inference_mode():
        clock = _Clock(now)
        for name, part in module.named_modules():
            hooks.callback(part.register_forward_pre_hook(_entering(clock, name)).remove)
            hooks.callback(part.register_forward_hook(_leaving(clock)).remove)
        start = time.perf_counter()
        while len(calls) < WARM + LEAST or (
            len(calls) < WARM + MOST and time.perf_counter() - start < budget_s
        ):
            clock.own.clear()
            module(**feeds)
            calls.append(dict(clock.own))
    return _times(module, calls[WARM:])


def _entering(clock: _Clock, name: str) -> Any:
    return lambda module, args: clock.enter(name)


def _leaving(clock: _Clock) -> Any:
    return lambda module, args, output: clock.leave()


def _times(module: torch.nn.Module, calls: list[dict[str, float]]) -> list[NodeTime]:
    types = {name: type(part).__name__ for name, part in module.named_modules()}
    return [
        NodeTime(
            name=name,
            type=types[name],
            component=component_of_module(name),
            seconds=float(np.quantile([call.get(name, 0.0) for call in calls], 0.25)),
        )
        for name in dict.fromkeys(name for call in calls for name in call)
    ]


def component_of_module(name: str) -> str:
    """The component of a submodule by its dotted name, `other` where neither it nor those around it tell."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        found = component_by_name(".".join([*parts[:end], "weight"]))
        if found is not None:
            return found
    return "other"
