"""Decoders' graphs with KV cache by torch's own exporter, for architectures that the builder does not know.

Traced with past keys and values as inputs of any length and batch, under the names and with the shapes that
ONNX Runtime GenAI feeds: `past_key_values.N.key` (B, heads, past, width) and `present.N.key`.
"""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

import torch

from compress.core.errors import CompressError
from compress.decoder.ends import end_tokens
from compress.decoder.recurrence import one_node_each
from compress.decoder.rotation import real_rotation
from compress.graph.cached import SETTINGS
from compress.graph.naming import name_by_module
from compress.graph.widen import widen_bfloat16
from compress.model.quiet import exporters_cause, quiet_exporter
from compress.model.safety import read_json
from compress.model.sizes import text_sizes
from compress.runtime.limits import max_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import onnx_ir as ir

    from compress.decoder.cache import Shape

_BATCH, _LENGTH, _PAST = 2, 3, 5
"""Of the inputs that are traced; none is 0 or 1, which torch would take for constants."""


class CachedModule(torch.nn.Module):
    """A causal language model with its cache as plain tensors: ids (B, T), mask (B, past + T), positions
    (B, T), then a key and a value (B, heads, past, width) for each layer that has them and the states of
    those that keep some, to logits (B, T, V), as many keys and values (B, heads, past + T, width) and states.
    """

    def __init__(self, module: torch.nn.Module, shape: Shape) -> None:
        super().__init__()
        self.module = module
        self._shape = shape
        self._positions = "position_ids" in inspect.signature(module.forward).parameters

    def forward(
        self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, *past: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """Logits, then keys and values, layer by layer, then states."""
        cache = self._shape.opened(self.module.config, past)
        more = {"position_ids": positions} if self._positions else {}
        outputs = self.module(
            input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True, **more
        )
        return (outputs.logits, *self._shape.closed(outputs.past_key_values))


def input_names(shape: Shape) -> list[str]:
    """The graph's inputs in their order."""
    return ["input_ids", "attention_mask", "position_ids", *shape.names("past_key_values", "past")]


def output_names(shape: Shape) -> list[str]:
    """The graph's outputs in their order."""
    return ["logits", *shape.names("present", "present")]


def sample(shape: Shape) -> tuple[torch.Tensor, ...]:
    """Inputs to trace with."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.ones(_BATCH, _LENGTH, dtype=torch.int64)
    mask = torch.ones(_BATCH, _PAST + _LENGTH, dtype=torch.int64)
    positions = torch.arange(_PAST, _PAST + _LENGTH).expand(_BATCH, _LENGTH).clone()
    sizes = shape.sizes(batch=_BATCH, past=_PAST)
    past = [torch.randn(size, generator=generator) for size in sizes]
    return (ids, mask, positions, *past)


def dynamic_axes(shape: Shape) -> Sequence[Any]:
    """The axes that may have any size, in the order of `CachedModule.forward`."""
    auto = torch.export.Dim.DYNAMIC
    kept = ({0: auto, 2: auto},) * len(shape.own) + ({0: auto},) * (2 * len(shape.states))
    return ({0: auto, 1: auto}, {0: auto, 1: auto}, {0: auto, 1: auto}, kept)


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
            **_patterns(shape, "past", "past_key_values"),
        },
        "outputs": {"logits": "logits", **_patterns(shape, "present", "present")},
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.count,
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


def _patterns(shape: Shape, kind: str, keys_and_values: str) -> dict[str, str]:
    """The names of what is kept, with a place for a layer's number."""
    names = {f"{kind}_{part}_names": f"{keys_and_values}.%d.{part}" for part in ("key", "value")}
    states = {f"{kind}_{part}_names": f"{kind}.%d.{part}" for part in ("conv", "recurrent")}
    return names | states if shape.states else names


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


def trace(module: torch.nn.Module, shape: Shape) -> ir.Model:
    """The graph of a module, over the memory of its weights.

    Raises:
        CompressError: torch cannot trace it.
    """
    try:
        with quiet_exporter(), torch.no_grad(), real_rotation(module), one_node_each(module):
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
    except Exception as error:  # the exporter raises whatever its passes raise
        message = f"torch cannot trace this decoder with a cache: {exporters_cause(error)}"
        raise CompressError("export-failed", message, hint="run with --debug and report it") from error
    graph: ir.Model = program.model
    widen_bfloat16(graph.graph)
    name_by_module(graph.graph)
    return graph


_OPSET = 20

_TYPE = "decoder"
"""The runtime's name for a decoder about which `genai_config.json` says all that is needed."""
