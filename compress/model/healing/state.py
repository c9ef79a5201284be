"""How far a training is, and the same on disk, for when it is killed: tensors and numbers, no code."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from compress.core.seal import resume_point

if TYPE_CHECKING:
    from pathlib import Path

_NAME, _BEST = "training.pt", "best.pt"

PATIENCE = 4
"""Looks in a row that show nothing better, after which the training ends."""


@dataclass(kw_only=True)
class Run:
    """How far a training is. `curve` has the loss on held-out batches and the seconds before it."""

    step: int = 0
    seconds: float = 0.0
    curve: list[tuple[float, float]] = field(default_factory=list)
    best: dict[str, torch.Tensor] = field(default_factory=dict, repr=False)

    @property
    def least(self) -> float:
        """The smallest loss that was seen on held-out batches."""
        return min((loss for _, loss in self.curve), default=math.inf)

    @property
    def stalled(self) -> bool:
        """Whether the last looks found nothing better than those before."""
        losses = [loss for _, loss in self.curve]
        return len(losses) > PATIENCE and min(losses[-PATIENCE:]) > min(losses[:-PATIENCE])


def keep_best(work: Path | None, student: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A copy of the student's state: where there is a folder on disk, and read from there when it is used."""
    state = student.state_dict()
    if work is None:
        return {name: value.detach().clone() for name, value in state.items()}
    _write(state, work / _BEST)
    return _read_best(work)


def _read_best(work: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(
        work / _BEST, weights_only=True, map_location="cpu", mmap=True
    )
    return found


def _write(values: dict[str, Any], path: Path) -> None:
    with resume_point(path) as part:
        torch.save(values, part)


def save(work: Path | None, student: torch.nn.Module, optimizer: torch.optim.Optimizer, run: Run) -> None:
    """Write all of it but the best state, which is there."""
    if work is None:
        return
    values = {
        "student": student.state_dict(),
        "optimizer": optimizer.state_dict(),
        "step": run.step,
        "seconds": run.seconds,
        "curve": run.curve,
    }
    _write(values, work / _NAME)


def restore(work: Path | None, student: torch.nn.Module, optimizer: torch.optim.Optimizer) -> Run | None:
    """Put it back, and say how far the training was; None where there is nothing."""
    if work is None or not (work / _NAME).exists():
        return None
    values: dict[str, Any] = torch.load(work / _NAME, weights_only=True, map_location="cpu")
    student.load_state_dict(values["student"])
    optimizer.load_state_dict(values["optimizer"])
    curve = [(float(seconds), float(loss)) for seconds, loss in values["curve"]]
    return Run(step=values["step"], seconds=values["seconds"], curve=curve, best=_read_best(work))
