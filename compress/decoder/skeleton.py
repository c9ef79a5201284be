"""A causal language model without its weights, and with those of a quantized checkpoint as they are used."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from compress.core.errors import CompressError
from compress.model.tensors import stored_names

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from compress.decoder.rows import RowNumbers
    from compress.model.quantized import QuantizedCheckpoint


def skeleton(folder: Path) -> torch.nn.Module:
    """The module of a checkpoint with buffers (the tables of rotary positions) but without parameters.

    Raises:
        CompressError: the configuration does not make a causal language model.
    """
    from accelerate import init_empty_weights
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        with init_empty_weights(include_buffers=False):
            config = AutoConfig.from_pretrained(folder, local_files_only=True)
            module: torch.nn.Module = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    except Exception as error:  # transformers raises whatever its model classes raise
        reason = " ".join(str(error).split())[:300]
        message = f"transformers cannot build this model: {reason}"
        raise CompressError("model-unloadable", message, hint="check config.json") from error
    module.tie_weights()
    return module.eval()


def filled(module: torch.nn.Module, value: Callable[[str], torch.Tensor]) -> torch.nn.Module:
    """Give each parameter its value by name, in place; tied ones stay one."""
    made = {
        id(parameter): torch.nn.Parameter(value(name), requires_grad=False)
        for name, parameter in module.named_parameters()
    }
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                part._parameters[name] = made[id(parameter)]
    return module


def streamed(module: torch.nn.Module, value: Callable[[str], torch.Tensor]) -> torch.nn.Module:
    """Let each part of a skeleton read its own parameters when it is called and drop them afterwards, so
    that a model of any size runs in the memory of its largest matrix.
    """
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    for part in module.modules():
        own = {key: names[id(p)] for key, p in part._parameters.items() if p is not None}
        if own:
            part.register_forward_pre_hook(partial(_load, own=own, value=value))
            part.register_forward_hook(partial(_drop, kept=dict(part._parameters)))
    return module


def _load(
    part: torch.nn.Module, _: Any, *, own: dict[str, str], value: Callable[[str], torch.Tensor]
) -> None:
    for key, name in own.items():
        part._parameters[key] = torch.nn.Parameter(value(name).float(), requires_grad=False)


def _drop(part: torch.nn.Module, _: Any, __: Any, *, kept: dict[str, Any]) -> None:
    part._parameters.update(kept)


class Values:
    """The values of a quantized checkpoint by the names of a module's parameters."""

    def __init__(self, checkpoint: QuantizedCheckpoint, module: torch.nn.Module) -> None:
        """Find every parameter of `module` in the checkpoint.

        Raises:
            CompressError: one is missing, or stored in parts.
        """
        self._stored = stored_names(module, [*checkpoint.layouts, *checkpoint.others])
        self._transposed = _transposed(module)
        self.checkpoint = checkpoint

    def is_quantized(self, parameter: str) -> bool:
        """Whether it is a matrix of codes."""
        return self._stored[parameter] in self.checkpoint.layouts

    def stand_in(self, parameter: str, rows: RowNumbers) -> torch.Tensor:
        """The stand-in of a matrix in the shape of the parameter, or the values of what is not quantized."""
        if not self.is_quantized(parameter):
            return self.checkpoint.tensor(self._stored[parameter])
        made = rows.stand_in(self._stored[parameter])
        return made.T if parameter in self._transposed else made

    def __call__(self, parameter: str) -> torch.Tensor:
        """The values that a runtime computes with, in the shape of the parameter."""
        name = self._stored[parameter]
        if not self.is_quantized(parameter):
            return self.checkpoint.tensor(name)
        matrix = self.checkpoint.matrix(name).dequantized()
        return matrix.T.contiguous() if parameter in self._transposed else matrix


def _transposed(module: torch.nn.Module) -> set[str]:
    """The parameters that are (in, out): those of GPT-2's Conv1D."""
    from transformers.pytorch_utils import Conv1D

    return {f"{name}.weight" for name, part in module.named_modules() if isinstance(part, Conv1D)}
