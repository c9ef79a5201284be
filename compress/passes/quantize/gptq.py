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

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from compress.core.artifact import ArtifactKind
from compress.core.copies import link_or_copy
from compress.core.recipe import Step
from compress.core.stored_bits import FP32, Storage
from compress.core.units import parse_size
from compress.model.arithmetic import has_bfloat16
from compress.model.blocks import BlockQuantizer
from compress.model.curvature import Curvature
from compress.model.flow import BlockFlow
from compress.model.mixed import allot, average_bits, describe, measured_once
from compress.model.outer import quantize_outer
from compress.model.quantized import write_index
from compress.model.rounding import rounded_only
from compress.model.scaling import BlockScaler
from compress.model.sensitivity import Probe
from compress.model.sidecars import copy_sidecars
from compress.model.walk import BlockWalk
from compress.passes.gptq_settings import GptqConfig

if TYPE_CHECKING:
    from pathlib import Path

    from compress.core.artifact import Artifact, Context
    from compress.model.sensitivity import Group

ACCEPTS = ArtifactKind.CHECKPOINT
PRODUCES = ArtifactKind.QUANTIZED
STREAMS = True

FACTS = "gptq.json"
"""Errors and fallbacks by matrix, for the report. Not published."""

SENSITIVITY = "sensitivity.json"
"""What rounding groups of matrices does to the answers, and the bits that each was given. Not published."""

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
    work = context.work or context.folder / ".work"
    walk = BlockWalk(artifact.folder, artifact.task, half=_half(config))
    windows = context.calibration.tokens(count=config.samples, length=config.length)
    flow = BlockFlow(walk, windows, work)
    quantizer = BlockQuantizer(
        walk=walk,
        flow=flow,
        scheme=config.scheme(config.bits),
        exclude=config.exclude,
        minimum_elements=config.minimum_elements,
        scaler=BlockScaler(walk) if config.channel_scaling else None,
    )
    quantizer = replace(
        quantizer,
        bits=_mixed_bits(quantizer, config, context),
        curvature=_curvature(quantizer, config, context),
    )
    done = flow.start()
    with context.progress.track("Quantizing blocks", walk.count) as advance:
        advance(done)
        for index in range(done, walk.count):
            quantizer.run(index)
            advance()
    quantize_outer(
        flow,
        embedding=config.embedding_bits and config.scheme(config.embedding_bits, config.embedding_group_size),
        head=config.head_bits and config.scheme(config.head_bits, config.head_group_size),
    )
    shutil.rmtree(work / "curvature", ignore_errors=True)
    _gather(work, context)
    copy_sidecars(artifact.folder, context.folder, text=True)
    write_index(context.folder)
    return artifact.at(context.folder, kind=PRODUCES)


def _mixed_bits(quantizer: BlockQuantizer, config: Config, context: Context) -> dict[str, int]:
    """Bits by parameter, where they are chosen by sensitivity."""
    if config.average_bits is None and config.max_size is None:
        return {}
    folder, walk = quantizer.flow.work / "sensitivity", quantizer.walk
    probe = Probe(
        walk=walk,
        windows=context.calibration.tokens(count=config.probe_samples, length=config.probe_length),
        work=folder,
        chosen=quantizer.chosen,
        bits=config.choices,
        group_size=config.group_size,
        symmetric=config.symmetric,
    )
    with context.progress.track("Measuring sensitivity", walk.count) as advance:
        groups = measured_once(folder.with_suffix(".measured"), lambda: probe.run(advance))
    shutil.rmtree(folder, ignore_errors=True)
    allowed = []
    if config.average_bits is not None:
        allowed.append(allot(groups, budget=config.average_bits * sum(group.elements for group in groups)))
    if config.max_size is not None:
        allowed.append(allot(groups, budget=_room(config, walk, groups), grids=config.grid_bits))
    bits = min(allowed, key=lambda chosen: average_bits(groups, chosen))
    (context.folder / SENSITIVITY).write_text(describe(groups, bits), encoding="utf8")
    return {name: own for group, own in zip(groups, bits, strict=True) for name in group.names}


def _curvature(quantizer: BlockQuantizer, config: Config, context: Context) -> Curvature | None:
    if not config.output_feedback:
        return None
    walk = quantizer.walk
    found = Curvature(
        walk=walk,
        windows=context.calibration.tokens(count=config.output_samples, length=config.output_length),
        work=quantizer.flow.work / "curvature",
        chosen=quantizer.chosen,
        seed=context.seed,
    )
    with context.progress.track("Measuring curvature", 2 * walk.count) as advance:
        found.gather(advance)
    return found


def _room(config: Config, walk: BlockWalk, groups: list[Group]) -> float:
    """Bits that `max_size` leaves for the matrices: tables are stored as configured, the rest in fp32."""
    elements, embedding, head = walk.elements()
    others = (elements - embedding - head - sum(group.elements for group in groups)) * 32.0
    for count, bits, size in (
        (embedding, config.embedding_bits, config.embedding_group_size),
        (head, config.head_bits, config.head_group_size),
    ):
        others += count * (bits + config.grid_bits(bits, size) if bits else 32.0)
    return 8.0 * parse_size(config.max_size or "") - others


def _half(config: Config) -> bool:
    if config.activations != "auto":
        return config.activations == "bfloat16"
    return has_bfloat16()


def _gather(work: Path, context: Context) -> None:
    """Put what is finished where it stays, and say which matrices were only rounded."""
    facts: dict[str, dict[str, object]] = {}
    for path in sorted(work.glob("*.json")):
        facts |= json.loads(path.read_text(encoding="utf8"))
    for line in rounded_only({name: str(values["why"]) for name, values in facts.items() if values["why"]}):
        context.progress.note(line)
    for path in sorted(work.glob("*.safetensors")):
        link_or_copy(path, context.folder / path.name)  # a run that is killed here finds all of it again
    (context.folder / FACTS).write_text(json.dumps(facts, indent=1), encoding="utf8")
    if work == context.folder / ".work":
        shutil.rmtree(work)
