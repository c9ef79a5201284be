"""Modules of transformers without weights, on the meta device."""

from __future__ import annotations

from typing import Any

import torch

from compress.core.errors import CompressError
from compress.model.quiet import quiet_transformers


def build_empty(kind: type[torch.nn.Module], config: Any) -> torch.nn.Module:
    """Build a module of a transformers class for a configuration, on the meta device.

    Raises:
        CompressError: the configuration does not make a model.
    """
    try:
        with quiet_transformers(), torch.device("meta"):
            return kind(config)
    except Exception as error:  # transformers raises whatever its model classes raise
        raise unbuildable(error) from error


def unbuildable(error: Exception) -> CompressError:
    """Say in one line why transformers cannot build a model."""
    reason = " ".join(str(error).split())[:300]
    return CompressError(
        "model-unloadable", f"transformers cannot build this model: {reason}", hint="check config.json"
    )
