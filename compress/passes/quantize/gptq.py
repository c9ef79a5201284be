"""GPTQ: calibrated weight-only quantization of a checkpoint, block by block.

Frantar et al. 2022 (arXiv:2210.17323). Weights come from safetensors one block at a time, the inputs of
each block from the quantized blocks before it, and each finished block is a resume point.

What was tried on top of it is in tests/bench/README.md, with figures. Kept were sweeps of coordinate descent
(`numerics.refine`), channels scaled (AWQ, `numerics.scaling`), products in bfloat16, which lose nothing, and,
where it is asked for, feedback across outputs (YAQA, `numerics.outputs`). Left out were a rotated residual
stream (QuaRot), making up for the errors of earlier layers (GPTAQ), weighing tokens, and training scales and
norms afterwards (EfficientQAT).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from compress.core.artifact import ArtifactKind
from compress.core.recipe import Step
from compress.core.stored_bits import FP32, Storage
from compress.core.units import parse_size
from compress.passes.gptq_settings import GptqConfig

if TYPE_CHECKING:
    from compress.core.artifact import Artifact, Context

ACCEPTS = ArtifactKind.CHECKPOINT
PRODUCES = ArtifactKind.QUANTIZED
STREAMS = True

Config = GptqConfig


def storage(config: Config) -> dict[str, Storage]:
    """How `plan` expects each kind of matrix to be stored."""
    matrix = config.average_bits or (config.bits if config.max_size is None else max(config.choices))
    table, size = config.embedding_bits, config.embedding_group_size
    return {
        "matrix": config.storage(matrix, config.bits),
        "embedding": FP32 if table is None else config.storage(table, table, size),
        "head": FP32
        if config.head_bits is None
        else config.storage(config.head_bits, config.head_bits, config.head_group_size),
    }


def size_limit(config: Config) -> int | None:
    """Bytes to which bits are chosen, for `plan`."""
    return None if config.max_size is None else parse_size(config.max_size)


def work_bytes(config: Config, *, parameters: int, width: int) -> int:
    """Bytes on disk while it works, beside the result: hidden states before and after a block, float32."""
    return 2 * config.samples * config.length * width * 4


def within(config: Config, size: int) -> dict[str, str]:
    """What to change so that a recipe that chooses bits keeps to a model of `size` bytes, too: nothing where
    it has a size of its own, or the same bits for all.
    """
    if config.average_bits is None or config.max_size is not None:
        return {}
    return {"max_size": f"{size}B"}


def uncalibrated(config: Config) -> Step | None:
    """Plain rounding to the same bits and groups, which reports show beside; there is none to bits of which
    each group has its own.
    """
    if config.average_bits is not None or config.max_size is not None:
        return None
    settings = {
        "bits": config.bits,
        "group_size": max(config.group_size, 0),
        "symmetric": config.symmetric,
        "embedding": config.embedding_bits == config.bits,
        "head": config.head_bits == config.bits,
    }
    return Step(name="quantize.round", config=settings)


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
    return config.output_feedback


def profiled(config: Config) -> bool:
    """Whether the result depends on the profile."""
    del config
    return False


def apply(artifact: Artifact, config: Config, context: Context) -> Artifact:
    """Quantize every block's matrices, the embedding and the head.

    Raises:
        CompressError: the blocks cannot be found or run one by one, or there is nothing to quantize.
    """
    from compress.passes.block_quantization import quantize_checkpoint  # imports torch, as `plan` does not

    quantize_checkpoint(artifact, config, context)
    return artifact.at(context.folder, kind=PRODUCES)
