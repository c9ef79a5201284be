"""Decoders' graphs with KV cache by torch's own exporter, for architectures that the builder does not know.

Traced with past keys and values as inputs of any length and batch, under the names and with the shapes that
ONNX Runtime GenAI feeds: `past_key_values.N.key` (B, heads, past, width) and `present.N.key`.
"""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import onnx_ir as ir
import torch

from compress.core.errors import CompressError
from compress.graph.cached import SETTINGS
from compress.graph.io import read_graph
from compress.graph.naming import name_by_module
from compress.model.quiet import exporters_cause, quiet_exporter
from compress.model.safety import read_json
from compress.runtime.limits import max_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from onnx import ModelProto

_BATCH, _LENGTH, _PAST = 2, 3, 5
"""Of the inputs that are traced; none is 0 or 1, which torch would take for constants."""


@dataclass(frozen=True)
class Shape:
    """The cache of a decoder: layers, heads of keys and values, width of a head."""

    layers: int
    heads: int
    width: int


class CachedModule(torch.nn.Module):
    """A causal language model with its cache as plain tensors: ids (B, T), mask (B, past + T), positions
    (B, T), then a key and a value (B, heads, past, width) for each layer, to logits (B, T, V) and as many
    keys and values (B, heads, past + T, width).
    """

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module
        self._positions = "position_ids" in inspect.signature(module.forward).parameters

    def forward(
        self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, *past: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """Logits, then keys and values, layer by layer."""
        from transformers import DynamicCache

        cache = DynamicCache(list(zip(past[0::2], past[1::2], strict=True)))
        more = {"position_ids": positions} if self._positions else {}
        outputs = self.module(
            input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True, **more
        )
        kept = [tensor for layer in outputs.past_key_values.layers for tensor in (layer.keys, layer.values)]
        return (outputs.logits, *kept)


def cache_shape(module: torch.nn.Module) -> Shape:
    """The cache of a module, as a run of two tokens leaves it.

    Raises:
        CompressError: its layers keep something else than keys and values, or differ in shape.
    """
    from transformers import DynamicCache

    with torch.inference_mode():
        cache = module(input_ids=torch.ones(1, 2, dtype=torch.int64), use_cache=True).past_key_values
    if not isinstance(cache, DynamicCache) or not cache.layers:
        message = f"the model's cache is a {type(cache).__name__}, expected keys and values of each layer"
        raise CompressError("cache-unsupported", message, hint="models without attention are not supported")
    shapes = {tuple(getattr(layer, "keys", torch.empty(0)).shape) for layer in cache.layers}
    shapes |= {tuple(getattr(layer, "values", torch.empty(0)).shape) for layer in cache.layers}
    if len(shapes) != 1 or len(next(iter(shapes))) != 4:
        message = f"the layers' keys and values have the shapes {sorted(shapes)}, expected one of four axes"
        hint = "heads that were pruned: give `uniform: true`; else report this model"
        raise CompressError("cache-unsupported", message, hint=hint)
    _, heads, _, width = next(iter(shapes))
    return Shape(len(cache.layers), heads, width)


def input_names(shape: Shape) -> list[str]:
    """The graph's inputs in their order."""
    return ["input_ids", "attention_mask", "position_ids", *_cache_names(shape, "past_key_values")]


def output_names(shape: Shape) -> list[str]:
    """The graph's outputs in their order."""
    return ["logits", *_cache_names(shape, "present")]


def _cache_names(shape: Shape, kind: str) -> list[str]:
    return [f"{kind}.{layer}.{part}" for layer in range(shape.layers) for part in ("key", "value")]


def sample(shape: Shape) -> tuple[torch.Tensor, ...]:
    """Inputs to trace with."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.ones(_BATCH, _LENGTH, dtype=torch.int64)
    mask = torch.ones(_BATCH, _PAST + _LENGTH, dtype=torch.int64)
    positions = torch.arange(_PAST, _PAST + _LENGTH).expand(_BATCH, _LENGTH).clone()
    kept = (_BATCH, shape.heads, _PAST, shape.width)
    past = [torch.randn(kept, generator=generator) for _ in range(2 * shape.layers)]
    return (ids, mask, positions, *past)


def dynamic_axes(shape: Shape) -> Sequence[Any]:
    """The axes that may have any size, in the order of `CachedModule.forward`."""
    auto = torch.export.Dim.DYNAMIC
    cache = {0: auto, 2: auto}
    return ({0: auto, 1: auto}, {0: auto, 1: auto}, {0: auto, 1: auto}, (cache,) * (2 * shape.layers))


THREADS = {"intra_op_num_threads": 0}
"""One for each physical core, of whatever machine reads the settings. Left out, the runtime takes half of the
logical processors: half of the cores where a core is one processor, as on most virtual machines and ARM."""


def write_settings(folder: Path, config: dict[str, Any], shape: Shape) -> None:
    """Write `genai_config.json`, with which the runtime feeds the graph."""
    generation = folder / "generation_config.json"
    chosen = {**config, **(read_json(generation, code="config-missing") if generation.exists() else {})}
    end = chosen.get("eos_token_id")
    first_end = end[0] if isinstance(end, list) else end
    pad = chosen.get("pad_token_id")
    length = max_tokens(config=config, tokenizer={}, sentence={})
    decoder = {
        "session_options": {"log_id": "onnxruntime-genai", "provider_options": [], **THREADS},
        "filename": "model.onnx",
        "head_size": shape.width,
        "hidden_size": int(config.get("hidden_size") or config.get("n_embd") or 0),
        "inputs": {
            "input_ids": "input_ids",
            "attention_mask": "attention_mask",
            "position_ids": "position_ids",
            "past_key_names": "past_key_values.%d.key",
            "past_value_names": "past_key_values.%d.value",
        },
        "outputs": {
            "logits": "logits",
            "present_key_names": "present.%d.key",
            "present_value_names": "present.%d.value",
        },
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        "num_key_value_heads": shape.heads,
    }
    model = {
        "bos_token_id": chosen.get("bos_token_id") or 0,
        "context_length": length,
        "decoder": decoder,
        "eos_token_id": end,
        "pad_token_id": first_end if pad is None else pad,
        "type": _TYPE,
        "vocab_size": int(config["vocab_size"]),
    }
    search = {"do_sample": False, "max_length": length, "past_present_share_buffer": False}
    text = json.dumps({"model": model, "search": search}, indent=4)
    (folder / SETTINGS).write_text(text, encoding="utf8")


def trace(module: torch.nn.Module, shape: Shape, path: Path) -> ModelProto:
    """The graph of a module; `path` is where it may be put for a moment.

    Raises:
        CompressError: torch cannot trace it.
    """
    try:
        with quiet_exporter(), torch.no_grad():
            program = torch.onnx.export(
                CachedModule(module).eval(),
                sample(shape),
                dynamo=True,
                opset_version=_OPSET,
                input_names=input_names(shape),
                output_names=output_names(shape),
                dynamic_shapes=dynamic_axes(shape),
                verbose=False,
            )
            program.save(str(path), external_data=True)
    except Exception as error:  # the exporter raises whatever its passes raise
        message = f"torch cannot trace this decoder with a cache: {exporters_cause(error)}"
        raise CompressError("export-failed", message, hint="run with --debug and report it") from error
    graph = ir.from_proto(read_graph(path))
    name_by_module(graph.graph)
    for left in path.parent.glob(f"{path.name}*"):
        left.unlink()
    return ir.to_proto(graph)


_OPSET = 20

_TYPE = "decoder"
"""The runtime's name for a decoder about which `genai_config.json` says all that is needed."""
