"""A module that runs without its weights: for looking at its structure where nothing should be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from compress.model.load import empty_module, experts_apart
from compress.model.structure.outputs import ready

if TYPE_CHECKING:
    from pathlib import Path


def hollow_module(folder: Path, task: str) -> torch.nn.Module:
    """The module of a checkpoint whose every weight is a one that takes no memory.

    Raises:
        CompressError: the configuration does not make a model.
    """
    module: Any = empty_module(folder, task, buffers=True).float().eval()
    experts_apart(module.config)
    for part in module.modules():
        for name, value in part._parameters.items():
            if value is not None:
                ones = torch.ones(()).expand(value.shape)
                part._parameters[name] = torch.nn.Parameter(ones, requires_grad=False)
    return ready(module)
