"""The part of a model that runs for a task, and what is left out with the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch


def running_part(module: torch.nn.Module, task: str) -> torch.nn.Module:
    """Select what runs for `task`: the encoder of an encoder-decoder model under `feature-extraction`.

    Raises:
        CompressError: the encoder is no model of its own.
    """
    config: Any = module.config
    if task != "feature-extraction" or not getattr(config, "is_encoder_decoder", False):
        return module
    encoder: torch.nn.Module = module.get_encoder() if hasattr(module, "get_encoder") else module
    if not hasattr(encoder, "config"):
        message = f"the encoder of {type(module).__name__} cannot run by itself in transformers"
        raise CompressError("task-unsupported", message, hint="choose another model")
    return encoder


def module_names(weights: Mapping[str, int], *, most: int = 4) -> str:
    """Name the modules that weights belong to, with how many numbers they hold together.

    Args:
        weights: the number of elements by the weight's name.
        most: how many modules are named before "and N more".
    """
    modules = list(dict.fromkeys(_owner(name) for name in weights))
    rest = f" and {len(modules) - most} more" if len(modules) > most else ""
    return f"{', '.join(modules[:most])}{rest} ({sum(weights.values()):,} parameters)"


def _owner(name: str) -> str:
    """Name the module at most two levels deep that a weight belongs to; a bare parameter is its own."""
    path = name.split(".")[:-1] or [name]
    return ".".join(path[:2])
