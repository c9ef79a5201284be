"""The training: AdamW over batches, a schedule that fits the time there is, the best state kept.

Loshchilov and Hutter 2019, 1711.05101 (AdamW), and 2017, 1608.03983 (the cosine).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from compress.model.healing.answers import Answer, answer
from compress.model.healing.state import Run, restore, save

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from compress.core.artifact import Advance
    from compress.model.healing.batches import Batch
    from compress.model.healing.losses import Losses
    from compress.model.healing.teacher import Teacher

WARM_UP = 0.05
"""Share of the training in which the learning rate rises."""
LOOKS = 12
"""How often the held-out batches are looked at."""
SAVE_S = 30.0
"""Seconds of training that a kill may cost, and one look."""
STALL_FROM = 0.5
"""Share of the training before which it never ends."""
CLIP = 1.0
"""Longest gradient."""
_PAYS = 0.9
"""What another kind of step must take at most, as a share of the plain one's time."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long to train: so many `seconds`, or, where a result must be the same everywhere, `steps`."""

    seconds: float | None = None
    steps: int | None = None
    learning_rate: float = 3e-4
    seed: int = 0
    bfloat16: bool = False

    def share(self, run: Run) -> float:
        """How much of the training is over."""
        if self.steps is not None:
            return run.step / max(self.steps, 1)
        return run.seconds / max(self.seconds or 0.0, 1e-9)

    def rate(self, share: float) -> float:
        """The learning rate at a share of the training: it rises in a line, then falls as a cosine."""
        if share < WARM_UP:
            return self.learning_rate * (share + 1e-3) / WARM_UP
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * min((share - WARM_UP) / (1 - WARM_UP), 1)))


@dataclass(kw_only=True)
class Healer:
    """A student, its teacher, and what they look at together."""

    student: torch.nn.Module
    teacher: Teacher
    losses: Losses
    batches: Sequence[Batch]
    held_out: Sequence[Batch]
    schedule: Schedule
    pooling: Sequence[str] = ()
    states: bool = True
    work: Path | None = None
    """Where a killed training finds how far it was."""

    def heal(self, advance: Advance) -> Run:
        """Train the student in place until the time is over or nothing gets better; it ends in the best
        state that was seen, which may be the one it came in. `advance` is told whole seconds (or steps).
        """
        # fused: one pass over each tensor took a ninth of the time of an operation at a time.
        optimizer = torch.optim.AdamW(self.student.parameters(), lr=self.schedule.learning_rate, fused=True)
        run = restore(self.work, self.student, optimizer) or self._begun()
        told, saved = 0, run.seconds
        while not self._over(run):
            start = time.monotonic()
            self._step(optimizer, run)
            run.seconds += time.monotonic() - start
            if self._due(run):
                self._look(run)
                if self.schedule.steps is not None or run.seconds - saved > SAVE_S:
                    save(self.work, self.student, optimizer, run)
                    saved = run.seconds
            done = run.step if self.schedule.steps is not None else int(run.seconds)
            advance(done - told)
            told = done
        self.student.load_state_dict(run.best)
        return run

    def _over(self, run: Run) -> bool:
        """Whether the time is over, or nothing got better for a while. Not in the first half: while the
        learning rate is high a model that lost little is worse at first.
        """
        share = self.schedule.share(run)
        return share >= 1 or (share > STALL_FROM and run.stalled)

    def _begun(self) -> Run:
        run = Run()
        self._look(run)
        return run

    def _step(self, optimizer: torch.optim.Optimizer, run: Run) -> None:
        number = self._number(run.step)
        for group in optimizer.param_groups:
            group["lr"] = self.schedule.rate(self.schedule.share(run))
        loss = self._loss(self.batches[number], number)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.student.parameters(), CLIP)
        optimizer.step()
        run.step += 1

    def _number(self, step: int) -> int:
        """Which batch a step takes: each once in a round, in an order that changes from round to round."""
        rounds, place = divmod(step, len(self.batches))
        order = np.random.default_rng([self.schedule.seed, rounds]).permutation(len(self.batches))
        return int(order[place])

    def _loss(self, batch: Batch, number: int) -> torch.Tensor:
        theirs = self.teacher(batch, number=number)
        with torch.autocast(batch.device.type, dtype=torch.bfloat16, enabled=self.schedule.bfloat16):
            ours = answer(self.student, batch.student, pooling=self.pooling, states=self.states)
        return self.losses.of(_single(ours), theirs, batch)

    def _due(self, run: Run) -> bool:
        """Whether it is time to look: every twelfth of the training, and at its end."""
        share = self.schedule.share(run)
        return share >= 1 or share * LOOKS >= len(run.curve)

    def _look(self, run: Run) -> None:
        start = time.monotonic()
        loss = self._held_out_loss()
        run.seconds += time.monotonic() - start if run.curve else 0.0
        if not run.best or loss < run.least:
            run.best = {name: value.detach().clone() for name, value in self.student.state_dict().items()}
        run.curve.append((run.seconds, loss))

    def _held_out_loss(self) -> float:
        """The mean over held-out batches; their numbers follow those of the others."""
        with torch.no_grad():
            numbered = enumerate(self.held_out, start=len(self.batches))
            losses = [float(self._loss(batch, number)) for number, batch in numbered]
        return sum(losses) / len(losses)


def _single(found: Answer) -> Answer:
    return found.map(lambda tensor: tensor.float())


def take_fastest(healer: Healer) -> None:
    """Choose the arithmetic of steps, and how attention is computed, by doing two steps of each kind
    (nothing is learned): what is fastest depends on the processor and on how long sequences are.
    """
    module: Any = healer.student
    own = getattr(module.config, "_attn_implementation", None)
    kinds = [own, "eager"] if own == "sdpa" else [own]
    ways = [(kind, mixed) for mixed in (False, True) for kind in kinds]
    seconds = {way: _step_seconds(healer, *way) for way in ways}
    best = min(ways, key=lambda way: seconds[way])
    kind, mixed = best if seconds[best] < _PAYS * seconds[ways[0]] else ways[0]
    _attend(module, kind)
    healer.schedule = replace(healer.schedule, bfloat16=mixed)


def _attend(module: Any, kind: str | None) -> None:
    if kind is not None and kind != module.config._attn_implementation:
        module.set_attn_implementation(kind)


def _step_seconds(healer: Healer, kind: str | None, mixed: bool) -> float:
    """The less of two steps of a middling batch, after one to warm up."""
    batch = sorted(healer.batches, key=lambda one: one.mask.numel())[len(healer.batches) // 2]
    _attend(healer.student, kind)
    times = []
    for _ in range(3):
        start = time.monotonic()
        with torch.autocast(batch.device.type, dtype=torch.bfloat16, enabled=mixed):
            found = answer(healer.student, batch.student, pooling=healer.pooling, states=healer.states)
        tensors = [one for one in (found.hidden, *found.logits.values()) if one is not None]
        torch.stack([one.float().square().mean() for one in tensors]).sum().backward()
        times.append(time.monotonic() - start)
    healer.student.zero_grad(set_to_none=True)
    return min(times[1:])
