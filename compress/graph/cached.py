"""A decoder's graph with KV cache, run as a graph without one: on whole texts, with an empty cache."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from compress.core.errors import CompressError
from compress.core.regular_files import MAX_CONFIG_BYTES, read_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from compress.graph.ort import OrtRunner
    from compress.graph.session import TensorSpec

SETTINGS = "genai_config.json"
"""Beside a decoder's graph: how ONNX Runtime GenAI feeds it."""

PAST = "past_key_values."
PRESENT = "present."
_STATE = "past."
"""Of a layer that keeps a state of fixed size instead: of a short convolution (B, channels, width - 1), or of
linear attention (B, heads, width of keys, width of values)."""


def with_sizes(inputs: Sequence[TensorSpec], settings: Path) -> tuple[TensorSpec, ...]:
    """Inputs with the heads and the width of a cache that the graph leaves open, as ONNX Runtime GenAI's
    builder does with the width, by the `settings` beside it. Bytes hold two codes of 4 bits each.

    Raises:
        CompressError: the settings do not tell them.
    """
    cache = [spec for spec in inputs if spec.name.startswith(PAST)]
    odd = [spec for spec in cache if len(spec.shape) != 4]
    if odd:
        message = f"input '{odd[0].name}' has {len(odd[0].shape)} axes, expected 4: batch, heads, past, width"
        raise CompressError("graph-invalid", message, hint="export it again")
    if not any(None in (spec.shape[1], spec.shape[3]) for spec in cache):
        return tuple(inputs)
    sizes = _cache_sizes(settings)
    sized = {spec.name: _sized(spec, *sizes) for spec in cache}
    return tuple(sized.get(spec.name, spec) for spec in inputs)


def _cache_sizes(settings: Path) -> tuple[int, int]:
    """Heads and width."""
    try:
        decoder = read_json(settings, limit=MAX_CONFIG_BYTES)["model"]["decoder"]
        heads, width = decoder["num_key_value_heads"], decoder["head_size"]
    except (FileNotFoundError, KeyError, TypeError):
        heads = width = None
    if all(type(size) is int and 0 < size <= _LARGEST for size in (heads, width)):
        return heads, width
    message = (
        f"the graph leaves the size of its cache open, and {settings} has no model.decoder with "
        "num_key_value_heads and head_size"
    )
    raise CompressError("cache-unknown", message, hint=f"put the {settings.name} beside it")


_LARGEST = 2**16
"""Heads, or channels of one."""


def _sized(spec: TensorSpec, heads: int, width: int) -> TensorSpec:
    batch, own_heads, past, own_width = spec.shape
    width = -(-width // 2) if spec.dtype == "uint8" else width
    return replace(spec, shape=(batch, own_heads or heads, past, own_width or width))


def is_cached(inputs: Sequence[TensorSpec]) -> bool:
    """Whether a graph takes past keys and values."""
    return any(spec.name.startswith(PAST) for spec in inputs)


class CachedRunner:
    """A `Runner` over `input_ids` and `attention_mask`; what the cache needs is made up.

    Attention kernels know no padding but at the end, so texts of one batch that differ in length are run
    one by one.
    """

    def __init__(self, runner: OrtRunner) -> None:
        self._runner = runner
        self.inputs = tuple(s for s in runner.inputs if s.name in ("input_ids", "attention_mask"))
        if all(spec.name != "attention_mask" for spec in self.inputs):
            message = "a graph with a cache has no input attention_mask"
            raise CompressError("graph-invalid", message, hint="export it again")
        self.outputs = tuple(name for name in runner.outputs if not name.startswith(PRESENT))

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs (B, T, ...) by name; 0 at padding."""
        ids = feeds["input_ids"]
        mask = feeds.get("attention_mask", np.ones_like(ids))
        if mask.all():
            return self._whole(ids)
        rows = [self._row(ids[row], mask[row].astype(bool)) for row in range(len(ids))]
        return {name: np.concatenate([row[name] for row in rows]) for name in self.outputs}

    def _row(self, ids: np.ndarray, real: np.ndarray) -> dict[str, np.ndarray]:
        found = self._whole(ids[None, real])
        padded = {}
        for name, array in found.items():
            padded[name] = np.zeros((1, len(ids), *array.shape[2:]), array.dtype)
            padded[name][:, real] = array
        return padded

    def _whole(self, ids: np.ndarray) -> dict[str, np.ndarray]:
        feeds = first_step(self._runner.inputs, ids)
        return self._runner.run(feeds, only=self.outputs)


def first_step(inputs: Sequence[TensorSpec], ids: np.ndarray) -> dict[str, np.ndarray]:
    """Feeds for tokens (B, T) after nothing."""
    return made_up_step(inputs, ids, past=0)


def made_up_step(inputs: Sequence[TensorSpec], ids: np.ndarray, *, past: int) -> dict[str, np.ndarray]:
    """Feeds for tokens (B, T) after `past` tokens whose keys and values are all 0."""
    cache = {spec.name: _zeros(spec, len(ids), past) for spec in inputs if _is_kept(spec.name)}
    return {**cache, **_tokens(inputs, ids, past=past)}


def next_step(
    inputs: Sequence[TensorSpec], ids: np.ndarray, outputs: Mapping[str, np.ndarray], *, past: int
) -> dict[str, np.ndarray]:
    """Feeds for tokens (B, T) after the `past` tokens whose keys and values `outputs` holds."""
    names = [spec.name for spec in inputs if _is_kept(spec.name)]
    kept = {name: outputs[name.replace(PAST, PRESENT).replace(_STATE, PRESENT)] for name in names}
    return {**kept, **_tokens(inputs, ids, past=past)}


def _is_kept(name: str) -> bool:
    """Whether an input is what a step hands to the next."""
    return name.startswith((PAST, _STATE))


def _tokens(inputs: Sequence[TensorSpec], ids: np.ndarray, *, past: int) -> dict[str, np.ndarray]:
    batch, length = ids.shape
    positions = np.broadcast_to(np.arange(past, past + length, dtype=np.int64), (batch, length))
    rank = next((len(spec.shape) for spec in inputs if spec.name == "position_ids"), 2)
    return {
        "input_ids": ids.astype(np.int64),
        "attention_mask": np.ones((batch, past + length), dtype=np.int64),
        # In time, height and width (M-RoPE), which are one in texts.
        "position_ids": np.stack([positions] * 3) if rank == 3 else positions.copy(),
    }


def _zeros(spec: TensorSpec, batch: int, past: int) -> np.ndarray:
    """Keys or values (B, heads, past, width), or a state of fixed size."""
    _, *sizes = spec.shape
    if spec.name.startswith(PAST):
        sizes[1] = past
    known = [size for size in sizes if size is not None]
    assert len(known) == len(sizes)
    return np.zeros((batch, *known), dtype=spec.dtype)
