"""Zeros in the matrices of the blocks: by magnitude, Wanda or SparseGPT, anywhere or N of every M.

Zeros make a checkpoint smaller where it is stored compressed, and faster where kernels for 2:4 exist (some
GPUs). On processors nothing is faster for them: no speed is claimed here, and none should be expected.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from pydantic import Field, field_validator

from compress.core.artifact import ArtifactKind
from compress.core.config import Frozen
from compress.core.errors import CompressError
from compress.model.load import load_whole
from compress.model.parts import running_part
from compress.model.structure.observed import observe
from compress.model.structure.outputs import ready
from compress.model.structure.rewrite import save_changed
from compress.model.structure.shrink import set_matrix
from compress.model.structure.stack import find_stack, linears, matrix_of
from compress.numerics.hessian import inverse_factor
from compress.numerics.sparsity import Pattern, magnitude, sparsegpt, wanda

if TYPE_CHECKING:
    from compress.core.artifact import Artifact, Context
    from compress.model.structure.observed import Observed

ACCEPTS = ArtifactKind.CHECKPOINT
PRODUCES = ArtifactKind.CHECKPOINT

_PATTERN = re.compile(r"(\d+):(\d+)")
_DAMPING = 0.01


class Config(Frozen):
    """Which zeros, and how many."""

    method: Literal["magnitude", "wanda", "sparsegpt"] = "sparsegpt"
    ratio: float = Field(default=0.5, gt=0, lt=1)
    """Share of zeros; not used where there is a pattern."""
    pattern: str | None = None
    """`2:4`: two zeros in every four neighbours of a row."""
    items: int = Field(default=128, gt=0)
    """Calibration items (not for `magnitude`)."""

    @field_validator("pattern")
    @classmethod
    def _zeros_of_group(cls, value: str | None) -> str | None:
        found = _PATTERN.fullmatch(value) if value else None
        if value and not (found and 0 < int(found[1]) < int(found[2])):
            raise ValueError("write a pattern as 2:4")
        return value

    @property
    def zeros(self) -> Pattern:
        """The pattern, or the share."""
        found = _PATTERN.fullmatch(self.pattern) if self.pattern else None
        return Pattern(zeros=int(found[1]), group=int(found[2])) if found else Pattern(ratio=self.ratio)


def learns(config: Config) -> bool:
    """Whether weights are fitted to calibration rows."""
    return calibrated(config)


def calibrated(config: Config) -> bool:
    """Whether the result depends on the calibration rows."""
    return config.method != "magnitude"


def seeded(config: Config) -> bool:
    """Whether the result depends on the seed."""
    del config
    return False


def profiled(config: Config) -> bool:
    """Whether the result depends on the profile."""
    del config
    return False


def apply(artifact: Artifact, config: Config, context: Context) -> Artifact:
    """Write the checkpoint with zeros in it. All layers are observed in the original model.

    Raises:
        CompressError: the model has no list of blocks, there is no data, or a layer's inputs are not finite.
        InternalError: the checkpoint reads back otherwise.
    """
    whole = load_whole(artifact.folder, artifact.task)
    module = ready(running_part(whole, artifact.task))
    stack = find_stack(module)
    chosen = {f"{stack.path}.{name}": linear for name, linear in linears(stack.blocks).items()}
    seen: dict[str, Observed] = {}
    if config.method != "magnitude":
        feeds = context.calibration.feeds(items=config.items)
        seen = observe(module, list(chosen), feeds, progress=context.progress, gradients=False)
    with context.progress.track("Setting zeros", len(chosen)) as advance:
        for name, linear in chosen.items():
            found = _sparse(name, matrix_of(linear).detach().numpy(), seen.get(name), config)
            set_matrix(linear, torch.from_numpy(found.astype(np.float32)))
            advance()
    save_changed(whole, whole.config, artifact.folder, context.folder, task=artifact.task)
    return artifact.at(context.folder)


def _sparse(name: str, weight: np.ndarray, seen: Observed | None, config: Config) -> np.ndarray:
    if seen is None:
        return magnitude(weight, config.zeros)
    gram = seen.moments.gram
    if config.method == "wanda":
        return wanda(weight, np.sqrt(np.diag(gram)), config.zeros)
    hessian = (gram / max(seen.moments.rows, 1)).astype(np.float32)
    factor = inverse_factor(hessian, damping=_DAMPING, activation_order=False)
    if factor is None:
        message = f"what '{name}' reads on the calibration data is zero or not finite"
        raise CompressError("data-unsuitable", message, hint="use method: magnitude, or other data")
    return sparsegpt(weight, factor.upper, config.zeros)
