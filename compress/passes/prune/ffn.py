"""Width: leave out hidden features of feed-forward layers, and refit the matrix that reads them.

Features go one after the other by the error that is left after the rest was refitted (see
`compress.numerics.elimination`), weighed by how much the model's answers depend on it. A gated layer loses
the same rows of gate and up, and fused ones both halves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from compress.core.artifact import ArtifactKind
from compress.core.config import Frozen
from compress.core.layers import LayerDtype
from compress.passes.narrowing import Narrowing, narrow

if TYPE_CHECKING:
    from compress.core.artifact import Artifact, Context

ACCEPTS = ArtifactKind.CHECKPOINT
PRODUCES = ArtifactKind.CHECKPOINT


class Config(Frozen):
    """How much of the width goes."""

    ratio: float | None = Field(default=None, gt=0, lt=1)
    """Share of the features that is removed."""
    latency: float | None = Field(default=None, gt=0, lt=1)
    """Instead of `ratio`: share of the time of the blocks' attention and feed-forward layers that is left, by
    layers timed on this host (the target has to be this host).
    """
    dtype: LayerDtype = "int8"
    """With `latency`: what products will be computed in when the recipe is done."""
    uniform: bool = True
    """The same number from each layer, for which most configurations have a word. Otherwise as many weights
    go from the layers where it does least, and `widths.json` tells the widths.
    """
    multiple: int = Field(default=32, gt=0)
    """Widths are multiples of this: what the target's kernels like."""
    reconstruct: bool = True
    """Refit the following matrix by least squares."""
    items: int = Field(default=256, gt=0)
    """Calibration items."""
    tokens: int = Field(default=65536, gt=0)
    """Of texts, so many tokens of them at most."""

    @model_validator(mode="after")
    def _one_budget(self) -> Config:
        if (self.ratio is None) == (self.latency is None):
            raise ValueError("give one of ratio, latency")
        return self


def apply(artifact: Artifact, config: Config, context: Context) -> Artifact:
    """Write the narrower checkpoint.

    Raises:
        CompressError: the model has no feed-forward units that are understood, or there is no data.
        InternalError: the checkpoint reads back otherwise.
    """
    return narrow(artifact, Narrowing(kind="ffn", **config.model_dump()), context)


def remaining(config: Config, depth: int) -> dict[str, float]:
    """The share of weights that stays, by component; with `latency` taken for that share."""
    del depth
    return {"ffn": 1 - config.ratio if config.ratio is not None else config.latency or 1.0}


def timed(config: Config) -> bool:
    """Whether the widths depend on what layers take on this host."""
    return config.latency is not None
