"""Make the graph of a decoder with its cache and compare it with the module: the work of `export.genai`."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import onnx
import onnx_ir as ir
import torch

from compress.core.artifact import GRAPH_NAME, ArtifactKind
from compress.core.errors import CompressError
from compress.decoder import accuracy, builder, kv_cache
from compress.decoder.cache_error import departures, refuse_departed
from compress.decoder.make_graph import build_graph, has_other_heads, open_module, trace_graph
from compress.decoder.parity import PROMPT, STEPS, compare_cached, compare_tokens
from compress.graph.cached import first_step
from compress.graph.ort import OrtRunner
from compress.graph.parity import RELATIVE
from compress.model.quantized import QuantizedCheckpoint
from compress.model.safety import read_json
from compress.model.sidecars import copy_sidecars
from compress.runtime.genai_settings import read_genai_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np

    from compress.core.artifact import Artifact, Context
    from compress.decoder.accuracy import Level
    from compress.graph.parity import Parity
    from compress.passes.export.genai import Config

_INLINE = 1024
"""Bytes up to which a constant stays in the graph, where shapes are read from."""

_TEXTS = 3
"""Of models with experts: texts of which one has to agree."""

_ROUNDED = 0.1
"""Share of the largest logit by which activations in 8 bits may move it; wrong graphs move it by its size."""


CODES_TOLERANCE = 0.15
"""Share of the largest logit by which keys and values in 8 bits may move it. Measured: 0.04 on SmolLM2-135M
and at most 0.064 on nine tiny architectures; scales of half their size moved SmolLM2's by 0.86, those of
other heads by 0.70."""


def export_decoder(artifact: Artifact, config: Config, context: Context) -> dict[str, Any]:
    """Write the graph of a decoder with its sidecars into the step's folder.

    Args:
        artifact: The checkpoint, quantized or not.
        config: How the graph computes and what it keeps.
        context: The step's folder, calibration and progress.

    Returns:
        Facts for the report: the comparisons, and the chosen accuracy level.

    Raises:
        CompressError: the model is no decoder that can be exported.
        InternalError: the graph does not answer as the module does.
    """
    _refuse_others(artifact.task)
    written = read_json(artifact.folder / "config.json", code="config-missing")
    is_built = builder.is_built(written) and not has_other_heads(artifact.folder)
    if config.kv_cache == "int8" and not is_built:
        raise kv_cache.refuse_traced((written.get("architectures") or ["this model"])[0])
    quantized = artifact.kind is ArtifactKind.QUANTIZED
    copy_sidecars(artifact.folder, context.folder, text=True)
    with context.progress.track("build the graph"):
        checkpoint = QuantizedCheckpoint(artifact.folder) if quantized else None
        make = build_graph if is_built else trace_graph
        # No name for the graph, which would keep its weights in memory while it is compared.
        _write_graph(make(artifact, checkpoint, context.folder), context.folder / GRAPH_NAME)
    with context.progress.track("compare with the module"):
        answers = partial(_logits, open_module(artifact, checkpoint))
        parity = _compare(answers, context.folder, written)
    if config.kv_cache == "int8":
        with context.progress.track("calibrate the cache"):
            parity += _keep_codes(answers, context)
    facts: dict[str, Any] = {"parity": [asdict(line) for line in parity]}
    if quantized:
        level, measured = _level(config, context)
        _set_accuracy_level(context.folder / GRAPH_NAME, level)
        facts["accuracy_level"] = {"chosen": level, "measured": [asdict(one) for one in measured]}
    return facts


def _refuse_others(task: str) -> None:
    if task != "text-generation":
        message = f"export.genai is for text-generation, this model's task is {task}"
        raise CompressError("task-unsupported", message, hint="use export.onnx")


def _write_graph(graph: ir.Model, path: Path) -> None:
    # Weights go beside the graph whatever their size: the runtime maps that file instead of copying it.
    ir.save(graph, path, external_data=f"{path.name}.data", size_threshold_bytes=_INLINE)


def _compare(
    answers: Callable[[np.ndarray], np.ndarray], folder: Path, config: dict[str, Any]
) -> list[Parity]:
    texts, relative = _tolerance(folder / GRAPH_NAME)
    return compare_cached(
        OrtRunner(folder / GRAPH_NAME),
        answers,
        vocabulary=int(config["vocab_size"]),
        positions=_positions(folder),
        texts=texts,
        relative=relative,
    )


def _positions(folder: Path) -> int:
    return read_genai_settings(folder).model.context_length


def _keep_codes(answers: Callable[[np.ndarray], np.ndarray], context: Context) -> list[Parity]:
    """Give the graph an int8 cache, and compare it with the module, and each layer's keys and values with
    those before, on calibration text: those of other tokens may lie outside of what was calibrated.
    """
    graph = context.folder / GRAPH_NAME
    length = min(kv_cache.LENGTH, _positions(context.folder))
    windows = context.calibration.tokens(count=kv_cache.SAMPLES, length=length)
    ids = windows[:2, : PROMPT + STEPS]
    runner = OrtRunner(graph)
    before = kv_cache.bytes_a_token(runner)
    steps = kv_cache.scales(kv_cache.largest(runner, windows))
    exact = runner.run(first_step(runner.inputs, ids), only=list(steps))
    kv_cache.write_int8_cache(graph, steps)
    runner = OrtRunner(graph)
    after = kv_cache.bytes_a_token(runner)
    context.progress.note(f"the cache takes {after:,} bytes a token in int8, {before:,} in float32")
    found = kv_cache.read_codes(graph, runner.run(first_step(runner.inputs, ids), only=list(steps)))
    refuse_departed(departures(exact, found, steps))
    prompt = min(PROMPT, max(ids.shape[1] // 2, 1))
    lines = compare_tokens(runner, ids, answers(ids), prompt=prompt, relative=CODES_TOLERANCE)
    return [replace(line, output=f"{line.output}, cache in int8") for line in lines]


def _tolerance(path: Path) -> tuple[int, float]:
    """How many texts may be tried, and what share of the logits may differ: experts in 8 bits are computed
    with activations rounded to 8 bits, whatever accuracy is asked for.
    """
    nodes = onnx.load(str(path), load_external_data=False).graph.node
    routed = [node for node in nodes if node.op_type in ("MoE", "QMoE")]
    wide = any(one.name == "expert_weight_bits" and one.i == 8 for node in routed for one in node.attribute)
    return (_TEXTS if routed else 1), (_ROUNDED if wide else RELATIVE)


def _logits(module: torch.nn.Module, ids: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        found: np.ndarray = module(input_ids=torch.from_numpy(ids), use_cache=False).logits.float().numpy()
    return found


def _level(config: Config, context: Context) -> tuple[int, list[Level]]:
    """The level that is asked for, or the one that measures best."""
    if config.accuracy_level != "auto":
        return config.accuracy_level, []
    graph = context.folder / GRAPH_NAME
    length = min(accuracy.LENGTH, _positions(context.folder) - 1)
    windows = context.calibration.tokens(count=accuracy.SAMPLES, length=length)

    def opened(level: int) -> OrtRunner:
        _set_accuracy_level(graph, level)
        return OrtRunner(graph)

    with context.progress.track("choose the accuracy level"):
        measured = accuracy.measure(opened, windows)
    chosen = accuracy.choose(measured)
    context.progress.note(accuracy.sentence(measured, chosen))
    return chosen, measured


def _set_accuracy_level(path: Path, level: int) -> None:
    model = onnx.load(str(path), load_external_data=False)
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type in ("MatMulNBits", "QMoE") and attribute.name == "accuracy_level":
                attribute.i = level
    path.write_bytes(model.SerializeToString())
