"""The stored tensors of a checkpoint, one in memory at a time, and the parameters that are made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safetensors import safe_open

from compress.model.fused import Parts
from compress.model.headers import read_header
from compress.model.safety import weight_files

if TYPE_CHECKING:
    from pathlib import Path

    import torch


class StoredTensors:
    """Reads tensors of the checkpoint in `folder`, a checkpoint of `module`."""

    def __init__(self, folder: Path, module: torch.nn.Module) -> None:
        """Find all of them.

        Raises:
            CompressError: files are damaged or missing, or store nothing for some parameter.
        """
        self._files = {name: path for path in weight_files(folder) for name in read_header(path)}
        self.sources = Parts(module, self._files).sources
        """The checkpoint's names of what each parameter is made of."""

    def tensor(self, name: str) -> torch.Tensor:
        """A tensor as it is stored, by the checkpoint's name."""
        with safe_open(self._files[name], framework="pt") as tensors:
            found: torch.Tensor = tensors.get_tensor(name)
        return found
