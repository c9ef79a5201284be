"""A decoder's graph with KV cache: from ONNX Runtime GenAI's builder, or traced by torch."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import onnx_ir as ir

from compress.decoder import builder, traced
from compress.decoder.accuracy import EXACT
from compress.decoder.cache import cache_shape
from compress.decoder.codes import Codes
from compress.decoder.fill import fill_codes
from compress.decoder.rows import RowNumbers
from compress.decoder.skeleton import Values, filled, skeleton, streamed
from compress.decoder.traced_experts import fill_experts, find_experts, mark_experts
from compress.graph.components import component_by_name
from compress.model.load import load_module
from compress.model.safety import read_json
from compress.model.structure.widths import read_widths

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from compress.core.artifact import Artifact
    from compress.model.quantized import QuantizedCheckpoint


def has_other_heads(folder: Path) -> bool:
    """Tell whether attention has other widths than config.json says, which the builder goes by."""
    linears = read_widths(folder).linears
    return any(component_by_name(f"{name}.weight") == "attention" for name in linears)


def build_graph(artifact: Artifact, checkpoint: QuantizedCheckpoint | None, target: Path) -> ir.Model:
    """Build a decoder's graph with ONNX Runtime GenAI's model builder.

    Args:
        artifact: The checkpoint.
        checkpoint: Its codes, where it is quantized.
        target: The folder that gets the settings of the runtime.

    Returns:
        The graph, with quantized products computed in fp32.
    """
    if checkpoint is None:
        feed = builder.Feed(load_module(artifact.folder, artifact.task))
    else:
        module = skeleton(artifact.folder)
        values = Values(checkpoint, module)
        rows = RowNumbers(values.matrices)
        module = filled(module, values, lambda name: values.stand_in(name, rows))
        feed = builder.Feed(module, rows, Codes(checkpoint), values)
    return builder.build(artifact.folder, feed, target, accuracy_level=EXACT)


def trace_graph(artifact: Artifact, checkpoint: QuantizedCheckpoint | None, target: Path) -> ir.Model:
    """Trace a decoder's graph with torch, where the builder does not know the architecture.

    Args:
        artifact: The checkpoint.
        checkpoint: Its codes, where it is quantized.
        target: The folder that gets the settings of the runtime.

    Returns:
        The graph, with quantized products computed in fp32.
    """
    rows: RowNumbers | None = None
    values: Values | None = None
    module = skeleton(artifact.folder)
    experts = find_experts(module)
    if checkpoint is None:
        module = load_module(artifact.folder, artifact.task)
    else:
        values = Values(checkpoint, module)
        rows = RowNumbers(values.matrices)
        module = filled(module, values, partial(_stand_in, values, rows))
    plain = values or dict(module.named_parameters()).__getitem__
    mark_experts(module, experts)
    if hasattr(module, "set_attn_implementation"):
        module.set_attn_implementation("eager")  # as products and a softmax, as for encoders
    shape = cache_shape(module)
    model = traced.trace(module, shape)
    traced.write_settings(target, read_json(target / "config.json", code="config-missing"), shape)
    if checkpoint is None and not experts:
        return model
    if checkpoint is not None and rows is not None:
        proto = fill_codes(model, rows, Codes(checkpoint), accuracy_level=EXACT)
    else:
        proto = ir.to_proto(model)
    if experts:
        proto = fill_experts(proto, experts, plain, values, accuracy_level=EXACT)
    return ir.from_proto(proto)


def _stand_in(values: Values, rows: RowNumbers, name: str) -> torch.Tensor:
    return values.stand_in(name, rows).float()


def open_module(artifact: Artifact, checkpoint: QuantizedCheckpoint | None) -> torch.nn.Module:
    """Load the module that a graph is compared with; weights of codes are dequantized when they are used."""
    if checkpoint is None:
        return load_module(artifact.folder, artifact.task)
    module = skeleton(artifact.folder)
    return streamed(module, Values(checkpoint, module))
