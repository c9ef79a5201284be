"""How far a training is, and the same on disk, for when it is killed: tensors and numbers, no code."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from pathlib import Path

_NAME = "training.pt"

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


def save(work: Path | None, student: torch.nn.Module, optimizer: torch.optim.Optimizer, run: Run) -> None:
    """Write all of it; the file is renamed to its place when it is whole."""
    if work is None:
        return
    work.mkdir(parents=True, exist_ok=True)
    values = {
        "student": student.state_dict(),
        "optimizer": optimizer.state_dict(),
        "best": run.best,
        "step": run.step,
        "seconds": run.seconds,
        "curve": run.curve,
    }
    torch.save(values, work / f"{_NAME}.part")
    (work / f"{_NAME}.part").rename(work / _NAME)


def restore(work: Path | None, student: torch.nn.Module, optimizer: torch.optim.Optimizer) -> Run | None:
    """Put it back, and say how far the training was; None where there is nothing."""
    if work is None or not (work / _NAME).exists():
        return None
    values: dict[str, Any] = torch.load(work / _NAME, weights_only=True, map_location="cpu")
    student.load_state_dict(values["student"])
    optimizer.load_state_dict(values["optimizer"])
    curve = [(float(seconds), float(loss)) for seconds, loss in values["curve"]]
    return Run(step=values["step"], seconds=values["seconds"], curve=curve, best=values["best"])
