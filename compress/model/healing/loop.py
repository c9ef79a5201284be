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
from compress.model.healing.memory import give_back
from compress.model.healing.state import Run, keep_best, restore, save

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
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
"""Seconds of training that a kill may cost, and one look, where saving takes a twentieth of them at most."""
ASIDE = 0.05
"""Most that looks, and saving, take as a share of a training that has so many seconds."""
STALL_FROM = 0.5
"""Share of the training before which it never ends."""
PART_TOKENS = 640
"""Of a batch of a language model, which go through the student at once: each further part costs a pass over
all weights (of a step of 640 tokens, 512 of them and the rest took 3.4 s, all together 2.5).
"""
GIVE_BACK = 16
"""Steps of a language model after which memory that nobody uses goes back to the system: at each step that
took a fifth of its time (3.2 s instead of 2.5, for 4.7 GB at most instead of 4.9 in 30 steps).
"""
CLIP = 1.0
"""Longest gradient."""
_PAYS = 0.9
"""What another kind of step must take at most, as a share of the plain one's time."""
_TRIED_ROWS = 2
"""Of a batch of a language model, by which kinds of step are compared: one has as many products for each."""
_TURNS = 4
"""Steps of each kind in turn, the first of them to warm up."""


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
    _look_s: float = 0.0
    """What the last look took."""

    def heal(self, advance: Advance) -> Run:
        """Train the student in place until the time is over or nothing gets better; it ends in the best
        state that was seen, which may be the one it came in. `advance` is told whole seconds (or steps).
        """
        # fused: one pass over each tensor took a ninth of the time of an operation at a time.
        optimizer = torch.optim.AdamW(self.student.parameters(), lr=self.schedule.learning_rate, fused=True)
        run = restore(self.work, self.student, optimizer) or self._begun()
        told, saved, took = 0, run.seconds, 0.0
        while not self._over(run):
            start = time.monotonic()
            self._step(optimizer, run)
            run.seconds += time.monotonic() - start
            if self._due(run):
                self._look(run)
                if self.schedule.steps is not None or run.seconds - saved > max(SAVE_S, took / ASIDE):
                    saved, took = run.seconds, self._save(optimizer, run)
            done = run.step if self.schedule.steps is not None else int(run.seconds)
            advance(done - told)
            told = done
        self.student.load_state_dict(run.best)
        return run

    def _save(self, optimizer: torch.optim.Optimizer, run: Run) -> float:
        """Write how far the training is; the seconds that this took."""
        start = time.monotonic()
        save(self.work, self.student, optimizer, run)
        return time.monotonic() - start

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
        for loss in self._losses(self.batches[number], number):
            loss.backward()
        torch.nn.utils.clip_grad_norm_(self.student.parameters(), CLIP)
        optimizer.step()
        # Here and not before the next backward pass: what a forward pass keeps takes the place of gradients.
        optimizer.zero_grad(set_to_none=True)
        run.step += 1
        if self.losses.heads and run.step % GIVE_BACK == 0:
            give_back()

    def _number(self, step: int) -> int:
        """Which batch a step takes: each once in a round, in an order that changes from round to round."""
        rounds, place = divmod(step, len(self.batches))
        order = np.random.default_rng([self.schedule.seed, rounds]).permutation(len(self.batches))
        return int(order[place])

    def _losses(self, batch: Batch, number: int) -> Iterator[torch.Tensor]:
        """What adds up to the loss of a batch: that of a language model in parts, since memory goes by what
        a backward pass needs of one.
        """
        theirs = self.teacher(batch, number=number)
        whole = [(slice(None), 1.0)]
        for rows, share in batch.parts(PART_TOKENS) if self.losses.heads else whole:
            part = batch.rows(rows)
            with torch.autocast(batch.device.type, dtype=torch.bfloat16, enabled=self.schedule.bfloat16):
                ours = self.answer(part.student)
            yield share * self.losses.of(_single(ours), theirs.rows(rows), part)

    def answer(self, feeds: Mapping[str, torch.Tensor]) -> Answer:
        """What the student answers; features in place of logits where a head makes those."""
        head = self.losses.heads.student if self.losses.heads else None
        return answer(self.student, feeds, pooling=self.pooling, states=self.states, head=head)

    def _due(self, run: Run) -> bool:
        """Whether it is time to look: every twelfth of the training, or less often where looks take long,
        and at its end.
        """
        share = self.schedule.share(run)
        if self.schedule.steps is None and run.seconds - run.curve[-1][0] < self._look_s / ASIDE:
            return share >= 1
        return share >= 1 or share * LOOKS >= len(run.curve)

    def _look(self, run: Run) -> None:
        start = time.monotonic()
        loss = self._held_out_loss()
        self._look_s = time.monotonic() - start
        run.seconds += self._look_s if run.curve else 0.0
        if not run.best or loss < run.least:
            run.best = keep_best(self.work, self.student)
        run.curve.append((run.seconds, loss))

    def _held_out_loss(self) -> float:
        """The mean over held-out batches; their numbers follow those of the others."""
        with torch.no_grad():
            numbered = enumerate(self.held_out, start=len(self.batches))
            losses = [float(sum(self._losses(batch, number))) for number, batch in numbered]
        return sum(losses) / len(losses)


def _single(found: Answer) -> Answer:
    return found.map(lambda tensor: tensor.float())


def take_fastest(healer: Healer) -> None:
    """Choose the arithmetic of steps, and how attention is computed, by doing three steps of each kind
    (nothing is learned): what is fastest depends on the processor and on how long sequences are. They are
    compared turn by turn, since a program that comes or goes meanwhile would else speak for one kind.
    """
    module: Any = healer.student
    own = getattr(module.config, "_attn_implementation", None)
    kinds = [own, "eager"] if own == "sdpa" else [own]
    ways = [(kind, mixed) for mixed in (False, True) for kind in kinds]
    turns = np.array([[_step_seconds(healer, *way) for way in ways] for _ in range(_TURNS)])[1:]
    relative = np.median(turns / turns[:, :1], axis=0)
    kind, mixed = ways[int(relative.argmin())] if relative.min() < _PAYS else ways[0]
    _attend(module, kind)
    healer.schedule = replace(healer.schedule, bfloat16=mixed)
    if mixed and healer.losses.heads is not None:
        healer.losses = replace(healer.losses, dtype=torch.bfloat16)
        healer.teacher.use_bfloat16()


def _attend(module: Any, kind: str | None) -> None:
    if kind is not None and kind != module.config._attn_implementation:
        module.set_attn_implementation(kind)


def _step_seconds(healer: Healer, kind: str | None, mixed: bool) -> float:
    """What a step of a middling batch takes."""
    batch = sorted(healer.batches, key=lambda one: one.mask.numel())[len(healer.batches) // 2]
    batch = batch if healer.losses.heads is None else batch.rows(slice(_TRIED_ROWS))
    _attend(healer.student, kind)
    start = time.monotonic()
    with torch.autocast(batch.device.type, dtype=torch.bfloat16, enabled=mixed):
        found = healer.answer(batch.student)
    tensors = [one for one in (found.hidden, found.features, *found.logits.values()) if one is not None]
    torch.stack([one.float().square().mean() for one in tensors]).sum().backward()
    if batch.device.type == "cuda":
        torch.cuda.synchronize()  # it has only been asked so far
    seconds = time.monotonic() - start
    healer.student.zero_grad(set_to_none=True)
    return seconds
