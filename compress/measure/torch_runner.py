"""A checkpoint as a `Runner`: the PyTorch module in this process, to be judged and not to be timed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from compress.graph.session import TensorSpec
from compress.model.inputs import inputs_of
from compress.model.load import load_module

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np


class TorchRunner:
    """The module of a checkpoint, in fp32."""

    def __init__(self, folder: Path, task: str) -> None:
        """Load it; raises CompressError when it cannot be loaded."""
        self._module = load_module(folder, task)
        if getattr(self._module.config, "use_cache", False):
            self._module.config.use_cache = False
        self._names = inputs_of(self._module, folder).names
        self.inputs = tuple(TensorSpec(name, "int64", (None, None)) for name in self._names)
        self.outputs: tuple[str, ...] = ()

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs by name: those that are tensors."""
        tensors = {name: torch.from_numpy(feeds[name]) for name in self._names if name in feeds}
        with torch.inference_mode():
            result = self._module(**tensors, return_dict=True)
        return {
            name: value.float().numpy() for name, value in result.items() if isinstance(value, torch.Tensor)
        }
