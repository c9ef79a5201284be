"""Which of a module's outputs an exported graph has, and which weights they are computed from."""

from __future__ import annotations

import typing
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import torch

from compress.core.errors import CompressError
from compress.model.empty import build_empty
from compress.model.parts import running_part
from compress.model.quiet import quiet_transformers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_PROJECTED = ("text_embeds", "image_embeds")
"""Embeddings of a tower of CLIP's kind, after its projection: what such a model is for."""

EXPORTED = ("last_hidden_state", "pooler_output", "logits", "start_logits", "end_logits", *_PROJECTED)
"""The outputs that are exported where a model has them."""


def exported_outputs(available: Iterable[str], *, task: str, reads_text: bool) -> tuple[str, ...]:
    """Select the outputs that a graph for `task` has; empty where none is supported.

    Args:
        available: the names of the tensors that the module's forward gives.
        task: the task that the graph is for.
        reads_text: whether the module takes token ids.
    """
    available = set(available)
    if task == "feature-extraction" and available.intersection(_PROJECTED):
        return tuple(name for name in _PROJECTED if name in available)
    if task == "feature-extraction" and reads_text:
        # A text encoder's pooler is a head of its pre-training; embeddings pool the hidden states.
        return tuple(name for name in EXPORTED[:1] if name in available)
    return tuple(name for name in EXPORTED if name in available)


def refuse_outputs(module: Any, task: str) -> None:
    """Refuse a module none of whose outputs can be exported, by the type that its forward is annotated with.

    Raises:
        CompressError: it gives a waveform, masks, boxes or the like.
    """
    available = _annotated_outputs(module)
    reads_text = getattr(module, "main_input_name", "input_ids") == "input_ids"
    if available and not exported_outputs(available, task=task, reads_text=reads_text):
        raise unsupported_outputs(type(module).__name__, available)


def unsupported_outputs(kind: str, available: Iterable[str]) -> CompressError:
    """Say that none of a model's outputs is exported."""
    message = f"{kind} gives {', '.join(available)}"
    return CompressError("outputs-unsupported", message, hint=f"supported outputs: {', '.join(EXPORTED)}")


def _annotated_outputs(module: Any) -> list[str]:
    """Name the outputs of a forward by its annotation; none where that says nothing."""
    annotated = typing.get_type_hints(module.forward).get("return")
    kinds = [kind for kind in (typing.get_args(annotated) or (annotated,)) if is_dataclass(kind)]
    return [field.name for kind in kinds for field in fields(kind)]


def unread_weights(module: Any, task: str, names: Sequence[str]) -> set[str]:
    """Select the weights that no exported output is computed from.

    The forward runs on the meta device, where it costs no arithmetic, and autograd tells what was read. A
    forward that cannot run there proves nothing, and every weight counts as read.

    Args:
        module: a transformers module, with or without weights.
        task: the task that it is exported for.
        names: the weights in question.
    """
    copy = build_empty(type(module), module.config).eval()
    part = running_part(copy, task)
    sample = _sample(part)
    if sample is None:
        return set()
    try:
        with quiet_transformers():
            outputs = part(**sample, return_dict=True)
    except Exception:  # models raise anything where they ask the meta device for values, not for shapes
        return set()
    tensors = {name: value for name, value in outputs.items() if isinstance(value, torch.Tensor)}
    chosen = exported_outputs(tensors, task=task, reads_text="input_ids" in sample)
    weights = {name: copy.get_parameter_or_buffer(name) for name in names}
    weights = {name: value for name, value in weights.items() if value.requires_grad}
    if not chosen or not weights:
        return set()
    total = torch.stack([tensors[name].sum() for name in chosen]).sum()
    gradients = torch.autograd.grad(total, list(weights.values()), allow_unused=True)
    return {name for name, gradient in zip(weights, gradients, strict=True) if gradient is None}


def _sample(module: Any) -> dict[str, torch.Tensor] | None:
    """Make one short item on the meta device; None for inputs of other kinds."""
    config = module.config
    name = str(getattr(module, "main_input_name", "input_ids"))
    if name == "input_ids":
        return {name: torch.zeros(1, 8, dtype=torch.int64, device="meta")}
    if name == "input_values" and config.model_type != "audio-spectrogram-transformer":
        return {name: torch.zeros(1, 16000, device="meta")}
    if name == "pixel_values" and isinstance(size := getattr(config, "image_size", None), int):
        return {name: torch.zeros(1, getattr(config, "num_channels", 3), size, size, device="meta")}
    return None
