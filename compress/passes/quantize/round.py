"""Weight-only quantization of a checkpoint by rounding each group to a searched grid, without data.

What calibrated methods are compared with, and their fallback. Each group of columns gets the scale (and
zero point) of least squared error. One block of the model is in memory at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from compress.core.artifact import ArtifactKind
from compress.core.config import Frozen
from compress.core.stored_bits import FP32, Storage

if TYPE_CHECKING:
    from compress.core.artifact import Artifact, Context

ACCEPTS = ArtifactKind.CHECKPOINT
PRODUCES = ArtifactKind.QUANTIZED


class Config(Frozen):
    """How matrices are stored, and which."""

    bits: Literal[2, 3, 4, 8] = 4
    group_size: int = Field(default=32, ge=0)
    """Columns that share a scale; 0: all of a row."""
    symmetric: bool = False
    """Without zero points."""
    search: bool = True
    """Look for the scale with the least squared error, instead of the one that spans the range."""
    embedding: bool = True
    """The token embedding too (and with it an output layer that is tied to it)."""
    head: bool = True
    """An output layer that is not tied."""


def storage(config: Config) -> dict[str, Storage]:
    """How `plan` expects each kind of matrix to be stored."""
    bits = max(config.bits, 4)
    form = Storage(
        bits=bits, group_size=config.group_size, scale_bits=16, zero_bits=0 if config.symmetric else bits
    )
    return {
        "matrix": form,
        "embedding": form if config.embedding else FP32,
        "head": form if config.head else FP32,
    }


def calibrated(config: Config) -> bool:
    """Whether the result depends on the calibration rows."""
    del config
    return False


def seeded(config: Config) -> bool:
    """Whether the result depends on the seed."""
    del config
    return False


def profiled(config: Config) -> bool:
    """Whether the result depends on the profile."""
    del config
    return False


def apply(artifact: Artifact, config: Config, context: Context) -> Artifact:
    """Quantize the matrices of linear layers, of experts and of the token embedding.

    Raises:
        CompressError: the model has no such matrix, or a stored tensor is missing.
    """
    from compress.passes.block_rounding import round_checkpoint  # imports torch, which `plan` does without

    round_checkpoint(artifact, config, context)
    return artifact.at(context.folder, kind=PRODUCES)
