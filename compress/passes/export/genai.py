"""A decoder to a graph with KV cache and the folder that ONNX Runtime GenAI runs, checked against its module.

The graph is made by ONNX Runtime GenAI's model builder, or traced by torch where the builder does not know
the architecture. Of a quantized checkpoint the codes go into MatMulNBits and GatherBlockQuantized as they
are; an embedding and the output layer that is tied to it share one table. The comparison is with the module
that has the same dequantized weights: the prompt at once, then 32 steps from the cache, with products in
fp32. `accuracy_level` is set afterwards: 4 lets kernels round activations to 8 bits by block, which is where
their speed comes from, and what that costs is measured with the artifact's accuracy.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import onnx
import onnx_ir as ir
import torch
from pydantic import Field

from compress.core.artifact import GRAPH_NAME, Artifact, ArtifactKind, Context
from compress.core.config import Frozen
from compress.core.errors import CompressError
from compress.decoder import builder, traced
from compress.decoder.codes import Codes
from compress.decoder.fill import fill_codes
from compress.decoder.parity import compare_cached
from compress.decoder.routed import refuse_experts
from compress.decoder.rows import RowNumbers
from compress.decoder.skeleton import Values, filled, skeleton, streamed
from compress.graph.components import component_by_name
from compress.graph.ort import OrtRunner
from compress.graph.parity import RELATIVE
from compress.model.load import load_module
from compress.model.quantized import QuantizedCheckpoint
from compress.model.safety import read_json
from compress.model.sidecars import copy_sidecars
from compress.model.structure.widths import read_widths
from compress.passes.export.onnx import EXPORT_FACTS

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from compress.graph.parity import Parity

ACCEPTS = frozenset({ArtifactKind.CHECKPOINT, ArtifactKind.QUANTIZED})
PRODUCES = ArtifactKind.GENAI

_INLINE = 1024
"""Bytes up to which a constant stays in the graph, where shapes are read from."""

_EXACT = 1
"""The accuracy level at which kernels compute products in fp32."""

_TEXTS = 3
"""Of models with experts: texts of which one has to agree."""

_ROUNDED = 0.1
"""Share of the largest logit by which activations in 8 bits may move it; wrong graphs move it by its size."""


class Config(Frozen):
    """`accuracy_level` of quantized products: 4 computes in int8, 1 in fp32, 0 as the kernel likes."""

    accuracy_level: int = Field(default=4, ge=0, le=4)


def apply(artifact: Artifact, config: Config, context: Context) -> Artifact:
    """Build and compare; see the module.

    Raises:
        CompressError: the model is no decoder that can be exported.
        InternalError: the graph does not answer as the module does.
    """
    _refuse_others(artifact)
    written = read_json(artifact.folder / "config.json", code="config-missing")
    quantized = artifact.kind is ArtifactKind.QUANTIZED
    copy_sidecars(artifact.folder, context.folder, text=True)
    with context.progress.track("build the graph"):
        checkpoint = QuantizedCheckpoint(artifact.folder) if quantized else None
        _write_graph(artifact, checkpoint, context.folder)
    with context.progress.track("compare with the module"):
        parity = _compare(artifact, checkpoint, context.folder, written)
    if quantized and config.accuracy_level != _EXACT:
        _set_accuracy_level(context.folder / GRAPH_NAME, config.accuracy_level)
    facts = {"parity": [asdict(line) for line in parity]}
    (context.folder / EXPORT_FACTS).write_text(json.dumps(facts), encoding="utf8")
    return artifact.at(context.folder, kind=PRODUCES)


def _refuse_others(artifact: Artifact) -> None:
    if artifact.task != "text-generation":
        message = f"export.genai is for text-generation, this model's task is {artifact.task}"
        raise CompressError("task-unsupported", message, hint="use export.onnx")


def _write_graph(artifact: Artifact, checkpoint: QuantizedCheckpoint | None, target: Path) -> None:
    """Make the graph with products in fp32, and the runtime's settings beside it."""
    config = read_json(artifact.folder / "config.json", code="config-missing")
    make = _build if builder.is_built(config) and not _other_heads(artifact.folder) else _trace
    graph = make(artifact, checkpoint, target)
    # Weights go beside the graph whatever their size: the runtime maps that file instead of copying it.
    path = target / GRAPH_NAME
    ir.save(graph, path, external_data=f"{path.name}.data", size_threshold_bytes=_INLINE)


def _other_heads(folder: Path) -> bool:
    """Whether attention has other widths than config.json says, which the builder goes by."""
    linears = read_widths(folder).linears
    return any(component_by_name(f"{name}.weight") == "attention" for name in linears)


def _build(artifact: Artifact, checkpoint: QuantizedCheckpoint | None, target: Path) -> ir.Model:
    if checkpoint is None:
        feed = builder.Feed(load_module(artifact.folder, artifact.task))
    else:
        module = skeleton(artifact.folder)
        values = Values(checkpoint, module)
        rows = RowNumbers(values.matrices)
        module = filled(module, lambda name: values.stand_in(name, rows))
        feed = builder.Feed(module, rows, Codes(checkpoint), values)
    return builder.build(artifact.folder, feed, target, accuracy_level=_EXACT)


def _trace(artifact: Artifact, checkpoint: QuantizedCheckpoint | None, target: Path) -> ir.Model:
    rows: RowNumbers | None = None
    refuse_experts(skeleton(artifact.folder))
    if checkpoint is None:
        module = load_module(artifact.folder, artifact.task)
    else:
        module = skeleton(artifact.folder)
        values = Values(checkpoint, module)
        rows = RowNumbers(values.matrices)
        module = filled(module, lambda name: values.stand_in(name, rows).float())
    if hasattr(module, "set_attn_implementation"):
        module.set_attn_implementation("eager")  # as products and a softmax, as for encoders
    shape = traced.cache_shape(module)
    model = traced.trace(module, shape, target / "traced.onnx")
    if checkpoint is not None and rows is not None:
        model = fill_codes(model, rows, Codes(checkpoint), accuracy_level=_EXACT)
    traced.write_settings(target, read_json(target / "config.json", code="config-missing"), shape)
    return ir.from_proto(model)


def _compare(
    artifact: Artifact, checkpoint: QuantizedCheckpoint | None, folder: Path, config: dict[str, Any]
) -> list[Parity]:
    if checkpoint is None:
        module = load_module(artifact.folder, artifact.task)
    else:
        module = skeleton(artifact.folder)
        module = streamed(module, Values(checkpoint, module))
    settings = read_json(folder / "genai_config.json", code="graph-missing")["model"]
    texts, relative = _tolerance(folder / GRAPH_NAME)
    return compare_cached(
        OrtRunner(folder / GRAPH_NAME),
        partial(_logits, module),
        vocabulary=int(config["vocab_size"]),
        positions=int(settings["context_length"]),
        texts=texts,
        relative=relative,
    )


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


def _set_accuracy_level(path: Path, level: int) -> None:
    model = onnx.load(str(path), load_external_data=False)
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type in ("MatMulNBits", "QMoE") and attribute.name == "accuracy_level":
                attribute.i = level
    path.write_bytes(model.SerializeToString())
