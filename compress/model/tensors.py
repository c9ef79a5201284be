"""The stored tensors of a checkpoint by the names of a module's parameters, one in memory at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safetensors import safe_open

from compress.core.errors import CompressError
from compress.model.headers import read_header
from compress.model.safety import weight_files

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import torch


class StoredTensors:
    """Reads tensors of the checkpoint in `folder` by the names of `module`'s parameters."""

    def __init__(self, folder: Path, module: torch.nn.Module) -> None:
        """Find all of them.

        Raises:
            CompressError: files are damaged or missing, or one stores no tensor for some parameter.
        """
        self._files = {name: path for path in weight_files(folder) for name in read_header(path)}
        self.names = stored_names(module, self._files)
        """The checkpoint's name of each parameter."""

    def tensor(self, parameter: str) -> torch.Tensor:
        """A tensor as it is stored."""
        name = self.names[parameter]
        with safe_open(self._files[name], framework="pt") as tensors:
            found: torch.Tensor = tensors.get_tensor(name)
        return found


def stored_names(module: torch.nn.Module, names: Iterable[str]) -> dict[str, str]:
    """Which of a checkpoint's `names` each parameter of `module` is read from, by transformers' own rules.

    Raises:
        CompressError: a parameter is read from none, or made of several (experts stored one by one).
    """
    found: dict[str, str] = {}
    several: set[str] = set()
    for name, parameter in _targets(module, names).items():
        if parameter in found:
            several.add(parameter)
        found[parameter] = name
    for parameter, _ in module.named_parameters():
        if parameter not in found or parameter in several:
            kind = "several tensors" if parameter in several else "no tensor"
            message = f"the checkpoint stores {kind} for '{parameter}', expected one"
            hint = "this architecture is not supported yet" if several else "save it again"
            raise CompressError("weights-missing", message, hint=hint)
    return found


def _targets(module: Any, names: Iterable[str]) -> dict[str, str]:
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import WeightConverter, WeightRenaming, rename_source_key

    rules = get_model_conversion_mapping(module)
    renamings = [rule for rule in rules if isinstance(rule, WeightRenaming)]
    converters = [rule for rule in rules if isinstance(rule, WeightConverter)]
    known = module.state_dict()
    targets = {}
    for name in names:
        target, _ = rename_source_key(name, renamings, converters, module.base_model_prefix, known)
        target = name if target not in known and name in known else target
        if target in known:
            targets[name] = target
    return targets
