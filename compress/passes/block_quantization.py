"""Run GPTQ over a checkpoint, block by block: the work of `quantize.gptq`."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from compress.core.copies import link_or_copy
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
from compress.passes.gptq_settings import FACTS, SENSITIVITY

if TYPE_CHECKING:
    from pathlib import Path

    from compress.core.artifact import Artifact, Context
    from compress.model.sensitivity import Group
    from compress.passes.gptq_settings import GptqConfig


def quantize_checkpoint(artifact: Artifact, config: GptqConfig, context: Context) -> None:
    """Write a checkpoint into the step's folder with every block's matrices, embedding and head quantized.

    Args:
        artifact: The checkpoint.
        config: How matrices are stored, and what they are calibrated on.
        context: The step's folders, calibration and progress.

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


def _mixed_bits(quantizer: BlockQuantizer, config: GptqConfig, context: Context) -> dict[str, int]:
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


def _curvature(quantizer: BlockQuantizer, config: GptqConfig, context: Context) -> Curvature | None:
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


def _room(config: GptqConfig, walk: BlockWalk, groups: list[Group]) -> float:
    """Bits that `max_size` leaves for the matrices: tables are stored as configured, the rest in fp32."""
    elements, embedding, head = walk.elements()
    others = (elements - embedding - head - sum(group.elements for group in groups)) * 32.0
    for count, bits, size in (
        (embedding, config.embedding_bits, config.embedding_group_size),
        (head, config.head_bits, config.head_group_size),
    ):
        others += count * (bits + config.grid_bits(bits, size) if bits else 32.0)
    return 8.0 * parse_size(config.max_size or "") - others


def _half(config: GptqConfig) -> bool:
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
