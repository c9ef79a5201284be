"""Parts of a checkpoint, read from safetensors into a module whose weights are not there yet.

transformers' own rules map the names and fuse what a checkpoint holds apart (experts), so that a part that
is read here is what `from_pretrained` would have made of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from compress.core.errors import CompressError
from compress.model.account import map_tensors
from compress.model.quiet import quiet_transformers
from compress.model.tensors import StoredTensors

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class WeightStream:
    """The tensors of the checkpoint in `folder` for `module`, a skeleton with parameters on `meta`."""

    def __init__(self, folder: Path, module: Any) -> None:
        from transformers.conversion_mapping import get_model_conversion_mapping

        self.module = module
        self._stored = StoredTensors(folder)
        self._conversions = get_model_conversion_mapping(module)
        self.targets = map_tensors(module, self._stored.files)

    def names(self, prefix: str) -> list[str]:
        """The checkpoint's names of what goes below the module at `prefix` (`model.layers.3`)."""
        return [name for name, target in self.targets.items() if target.startswith(f"{prefix}.")]

    def raw(self, name: str) -> torch.Tensor:
        """A tensor as the checkpoint holds it."""
        return self._stored.tensor(name)

    def load(self, names: Iterable[str]) -> None:
        """Read tensors, by the checkpoint's names, into the module's parameters.

        Raises:
            CompressError: a tensor has another shape than the module's, or holds NaN or infinity.
        """
        from transformers.core_model_loading import convert_and_load_state_dict_in_model
        from transformers.modeling_utils import LoadStateDictConfig

        names = list(names)
        config = LoadStateDictConfig(weight_mapping=list(self._conversions), ignore_mismatched_sizes=True)
        with quiet_transformers():
            info, _ = convert_and_load_state_dict_in_model(
                self.module, {name: self.raw(name) for name in names}, config
            )
        _refuse_mismatched(info)
        for target in {self.targets[name] for name in names}:
            _own(self.module, target)

    def free(self, prefix: str = "") -> None:
        """Forget the parameters below a module."""
        for name, parameter in list(self.module.named_parameters(remove_duplicate=False)):
            if name.startswith(prefix):
                _set(self.module, name, torch.empty_like(parameter, device="meta"))

    def reverted(self, values: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Values of the shape of parameters under the names, and cut as, the checkpoint has them."""
        from transformers.core_model_loading import revert_weight_conversion

        return dict(revert_weight_conversion(self.module, values))


def _refuse_mismatched(info: Any) -> None:
    if info.mismatched_keys:
        name, found, expected = sorted(info.mismatched_keys)[0]
        message = f"{name} has shape {list(found)}, the configuration asks for {list(expected)}"
        raise CompressError("weights-mismatched", message, hint="config.json is of another checkpoint")


def _own(module: torch.nn.Module, name: str) -> None:
    """Give a tensor memory of its own, in fp32: what was read may be a view of the mapped file."""
    value = _get(module, name)
    owned = value.detach().float().clone() if value.is_floating_point() else value.detach().clone()
    if not torch.isfinite(owned).all():
        message = f"'{name}' holds NaN or infinity"
        hint = "the checkpoint is damaged, or diverged in training"
        raise CompressError("weights-not-finite", message, hint=hint)
    _set(module, name, owned)


def _get(module: torch.nn.Module, name: str) -> torch.Tensor:
    path, _, leaf = name.rpartition(".")
    value: torch.Tensor = getattr(module.get_submodule(path), leaf)
    return value


def _set(module: torch.nn.Module, name: str, value: torch.Tensor) -> None:
    path, _, leaf = name.rpartition(".")
    owner = module.get_submodule(path)
    if leaf in owner._parameters:
        # "Could be trained": only of such parameters autocast keeps what it has rounded.
        owner._parameters[leaf] = torch.nn.Parameter(value, value.is_floating_point())
    else:
        owner._buffers[leaf] = value
