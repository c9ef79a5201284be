"""The stored tensors of a checkpoint, one in memory at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safetensors import safe_open

from compress.core.errors import CompressError
from compress.model.headers import read_header
from compress.model.safety import weight_files

if TYPE_CHECKING:
    from pathlib import Path

    import torch


class StoredTensors:
    """Reads tensors of the checkpoint in `folder`, by the names that it has for them."""

    def __init__(self, folder: Path) -> None:
        """Find all of them.

        Raises:
            CompressError: files are damaged or missing.
        """
        self.files = {name: path for path in weight_files(folder) for name in read_header(path)}
        """Where each tensor is."""

    def tensor(self, name: str) -> torch.Tensor:
        """A tensor as it is stored.

        Raises:
            CompressError: there is none of that name.
        """
        if name not in self.files:
            raise CompressError("weights-missing", f"no tensor '{name}'", hint="download all shards")
        with safe_open(self.files[name], framework="pt") as tensors:
            found: torch.Tensor = tensors.get_tensor(name)
        return found
