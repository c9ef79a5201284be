"""Width: leave out hidden features of feed-forward layers, and refit the matrix that reads them.

Features go one after the other by the error that is left after the rest was refitted (see
`compress.numerics.elimination`), weighed by how much the model's answers depend on it. A gated layer loses
the same rows of gate and up, and fused ones both halves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from compress.core.artifact import ArtifactKind
from compress.passes.narrowing import Width, narrow

if TYPE_CHECKING:
    from compress.core.artifact import Artifact, Context
    from compress.model.structure.sites import Kind

ACCEPTS = ArtifactKind.CHECKPOINT
PRODUCES = ArtifactKind.CHECKPOINT


class Config(Width):
    """How many hidden features go."""

    kind: ClassVar[Kind] = "ffn"
    multiple: int = Field(default=32, gt=0)
    """Widths are multiples of this: what the target's kernels like."""


def learns(config: Config) -> bool:
    """Whether weights are fitted to calibration rows."""
    del config
    return True


def calibrated(config: Config) -> bool:
    """Whether the result depends on the calibration rows."""
    del config
    return True


def seeded(config: Config) -> bool:
    """Whether the result depends on the seed."""
    del config
    return True


def profiled(config: Config) -> bool:
    """Whether the result depends on the profile."""
    return config.latency is not None


def apply(artifact: Artifact, config: Config, context: Context) -> Artifact:
    """Write the narrower checkpoint.

    Raises:
        CompressError: the model has no feed-forward units that are understood, or there is no data.
        InternalError: the checkpoint reads back otherwise.
    """
    return narrow(artifact, config, context)


def remaining(config: Config, depth: int) -> dict[str, float]:
    """The share of weights that stays, by component; with `latency` taken for that share."""
    del depth
    return {"ffn": config.remaining()}


def timed(config: Config) -> bool:
    """Whether the widths depend on what layers take on this host."""
    return config.latency is not None
