"""Trained weights in a checkpoint: every stored tensor that the module has, under its stored name."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.core.errors import InternalError
from compress.model.safety import INDEX, weight_files

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    Tensors = Mapping[str, torch.Tensor]


def write_trained(module: torch.nn.Module, source: Path, target: Path) -> None:
    """Write the checkpoint in `source` again with the module's weights, in fp32, since what was learned
    may be less than a coarser dtype can tell. Tensors that the module does not have stay as they are.

    Raises:
        InternalError: weights of the module have no stored tensor.
    """
    from safetensors import safe_open
    from safetensors.torch import save_file

    saved = _saved(module, target)
    trained = {**module.state_dict(), **saved}
    used: set[str] = set()
    for path in weight_files(source):
        tensors = {}
        with safe_open(path, framework="pt") as stored:
            for name in stored.keys():  # noqa: SIM118 (not a mapping)
                tensors[name] = stored.get_tensor(name)
                own = own_name(name, tensors[name].shape, trained)
                if own is not None:
                    used.add(own)
                    tensors[name] = trained[own].detach().cpu().contiguous().clone()
            metadata = stored.metadata() or {"format": "pt"}
        save_file(tensors, target / path.name, metadata=metadata)
    if (source / INDEX).exists():
        (target / INDEX).write_text((source / INDEX).read_text(encoding="utf8"), encoding="utf8")
    _refuse_lost(saved, used)


def _saved(module: Any, beside: Path) -> Tensors:
    """The module's weights under the names that transformers stores them by, which may be others than
    those in memory. Of tied ones there is one.
    """
    from safetensors.torch import load_file

    with tempfile.TemporaryDirectory(dir=beside) as folder:
        module.save_pretrained(folder)
        files = sorted(Path(folder).glob("*.safetensors"))
        return {name: value for path in files for name, value in load_file(path).items()}


def own_name(name: str, shape: torch.Size, trained: Tensors) -> str | None:
    """The module's name of a stored tensor: the same, or with the body's prefix more or less."""
    parts = name.split(".")
    shorter = [".".join(parts[at:]) for at in range(len(parts))]
    found = next((one for one in shorter if one in trained), None)
    found = found or next((one for one in trained if one.endswith(f".{name}")), None)
    return found if found is not None and trained[found].shape == shape else None


def _refuse_lost(saved: Tensors, used: set[str]) -> None:
    lost = [name for name in saved if name not in used and "pooler" not in name]  # which may be missing
    if lost:
        message = f"{len(lost)} trained weights have no place in the checkpoint, first {lost[0]}"
        raise InternalError("heal-mismatch", message, hint="leave heal.distill out, and report the model")
