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
from torch.nn.functional import pad

from compress.core.errors import CompressError
from compress.decoder.ends import end_tokens
from compress.decoder.rotation import real_rotation
from compress.graph.cached import SETTINGS
from compress.graph.io import read_graph
from compress.graph.naming import name_by_module
from compress.graph.widen import widen_bfloat16
from compress.model.quiet import exporters_cause, quiet_exporter
from compress.model.safety import read_json
from compress.model.sizes import text_sizes
from compress.runtime.limits import max_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from onnx import ModelProto

_BATCH, _LENGTH, _PAST = 2, 3, 5
"""Of the inputs that are traced; none is 0 or 1, which torch would take for constants."""


@dataclass(frozen=True)
class Shape:
    """The cache of a decoder: for each layer the heads and the width of its keys, then of its values.

    ONNX Runtime GenAI feeds tensors of one shape for all layers. Where a model's own differ (a narrow vector
    from which keys and values are made, other heads in some layers), all have the largest, filled up with
    zeros.
    """

    own: tuple[tuple[int, int], ...]

    @property
    def layers(self) -> int:
        """Layers with keys and values."""
        return len(self.own) // 2

    @property
    def heads(self) -> int:
        """Heads that are fed."""
        return max(heads for heads, _ in self.own)

    @property
    def width(self) -> int:
        """Channels of each that are fed."""
        return max(width for _, width in self.own)

    def cut(self, fed: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """The layers' own keys and values of what is fed, each (B, heads, T, width)."""
        return [one[:, :heads, :, :width] for one, (heads, width) in zip(fed, self.own, strict=True)]

    def filled_up(self, own: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """What is fed, of the layers' own keys and values."""
        missing = [(0, self.width - width, 0, 0, 0, self.heads - heads) for heads, width in self.own]
        return [pad(one, by) if any(by) else one for one, by in zip(own, missing, strict=True)]


class CachedModule(torch.nn.Module):
    """A causal language model with its cache as plain tensors: ids (B, T), mask (B, past + T), positions
    (B, T), then a key and a value (B, heads, past, width) for each layer, to logits (B, T, V) and as many
    keys and values (B, heads, past + T, width).
    """

    def __init__(self, module: torch.nn.Module, shape: Shape) -> None:
        super().__init__()
        self.module = module
        self._shape = shape
        self._positions = "position_ids" in inspect.signature(module.forward).parameters

    def forward(
        self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, *past: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """Logits, then keys and values, layer by layer."""
        from transformers import DynamicCache

        own = self._shape.cut(past)
        cache = DynamicCache(list(zip(own[0::2], own[1::2], strict=True)))
        more = {"position_ids": positions} if self._positions else {}
        outputs = self.module(
            input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True, **more
        )
        kept = [tensor for layer in outputs.past_key_values.layers for tensor in (layer.keys, layer.values)]
        return (outputs.logits, *self._shape.filled_up(kept))


def cache_shape(module: torch.nn.Module) -> Shape:
    """The cache of a module, as a run of two tokens leaves it.

    Raises:
        CompressError: its layers keep something else than keys and values.
    """
    from transformers import DynamicCache

    kind = type(module).__name__
    hint = "decoders with recurrent layers are not supported, but for LFM2 and Qwen3.5"
    try:
        with torch.inference_mode():
            outputs = module(input_ids=torch.ones(1, 2, dtype=torch.int64), use_cache=True)
    except Exception as error:  # transformers raises whatever its caches raise
        message = f"{kind} cannot be run with a cache: {' '.join(str(error).split())[:200]}"
        raise CompressError("cache-unsupported", message, hint=hint) from error
    cache = getattr(outputs, "past_key_values", None)
    layers = cache.layers if isinstance(cache, DynamicCache) else []
    found = [_kept(layer) for layer in layers]
    others = [str(index) for index, own in enumerate(found) if len(own) < 2]
    if others or not found:
        where = f"layers {', '.join(others[:8])}{' and more' * (len(others) > 8)}" if found else "its layers"
        message = f"{kind} keeps something else than keys and values in {where}"
        raise CompressError("cache-unsupported", message, hint=hint)
    return Shape(tuple(one for own in found for one in own))


def _kept(layer: Any) -> list[tuple[int, int]]:
    """Heads and width of a layer's keys and values; fewer than two where it keeps something else, or more."""
    if getattr(layer, "conv_states", None):
        return []
    parts = [getattr(layer, name, None) for name in ("keys", "values")]
    return [(one.shape[1], one.shape[3]) for one in parts if one is not None and one.ndim == 4]


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
    end = end_tokens(folder)
    first_end = end[0] if isinstance(end, list) else end
    pad = chosen.get("pad_token_id")
    length = min([max_tokens(config=config, tokenizer={}, sentence={}), *_one_table(config)])
    decoder = {
        "session_options": {"log_id": "onnxruntime-genai", "provider_options": [], **THREADS},
        "filename": "model.onnx",
        "head_size": shape.width,
        "hidden_size": text_sizes(config).hidden,
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


def rotary_settings(config: dict[str, Any]) -> dict[str, Any]:
    """What a `config.json` says of rotary positions, under its name of today or of before."""
    return config.get("rope_parameters") or config.get("rope_scaling") or {}


def _one_table(config: dict[str, Any]) -> list[int]:
    """Tokens up to which one table of rotary positions holds, where longer texts get another one (LongRoPE,
    arXiv:2402.13753; dynamic NTK): a traced graph has the table of short texts.
    """
    rope = rotary_settings(config)
    if rope.get("rope_type", rope.get("type")) not in _SEVERAL_TABLES:
        return []
    named = "original_max_position_embeddings"
    limit = rope.get(named) or config.get(named) or config.get("max_position_embeddings")
    return [int(limit)] if limit else []


_SEVERAL_TABLES = ("longrope", "dynamic")


def trace(module: torch.nn.Module, shape: Shape, path: Path) -> ModelProto:
    """The graph of a module; `path` is where it may be put for a moment.

    Raises:
        CompressError: torch cannot trace it.
    """
    try:
        with quiet_exporter(), torch.no_grad(), real_rotation(module):
            program = torch.onnx.export(
                CachedModule(module, shape).eval(),
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
    widen_bfloat16(graph.graph)
    name_by_module(graph.graph)
    for left in path.parent.glob(f"{path.name}*"):
        left.unlink()
    return ir.to_proto(graph)


_OPSET = 20

_TYPE = "decoder"
"""The runtime's name for a decoder about which `genai_config.json` says all that is needed."""
