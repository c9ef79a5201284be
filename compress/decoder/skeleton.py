"""A causal language model without its weights, and with those of a quantized checkpoint as they are used."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from compress.core.errors import CompressError
from compress.decoder.rows import RowNumbers
from compress.model.dequantize import original_orientation
from compress.model.fused import Parts
from compress.model.load import experts_apart
from compress.model.structure.widths import apply_widths, read_widths

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from compress.decoder.rows import Source
    from compress.model.quantized import Layout, QuantizedCheckpoint


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
            apply_widths(module, read_widths(folder))
    except CompressError:
        raise
    except Exception as error:  # transformers raises whatever its model classes raise
        reason = " ".join(str(error).split())[:300]
        message = f"transformers cannot build this model: {reason}"
        raise CompressError("model-unloadable", message, hint="check config.json") from error
    experts_apart(module.config)
    module.tie_weights()
    return module.eval()


def filled(
    module: torch.nn.Module, values: Values, parameter: Callable[[str], torch.Tensor]
) -> torch.nn.Module:
    """Give each parameter of a skeleton what `parameter` says by its name, and buffers their `values`, in
    place; tied ones stay one.
    """
    values.fill_buffers(module)
    made = {
        id(old): torch.nn.Parameter(parameter(name), requires_grad=False)
        for name, old in module.named_parameters()
    }
    for part in module.modules():
        for name, old in part._parameters.items():
            if old is not None:
                part._parameters[name] = made[id(old)]
    return module


def streamed(module: torch.nn.Module, values: Values) -> torch.nn.Module:
    """Let each part of a skeleton read its own parameters when it is called and drop them afterwards, so
    that a model of any size runs in the memory of its largest matrix. Small ones that are no codes are read
    at once: some are used by the part around theirs (the kernel of a short convolution).
    """
    values.fill_buffers(module)
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    for part in module.modules():
        own = {key: names[id(p)] for key, p in part._parameters.items() if p is not None}
        small = {key: name for key, name in own.items() if _is_small(values, name, part._parameters[key])}
        _load(part, None, own=small, value=values)
        passing = {key: name for key, name in own.items() if key not in small}
        if passing:
            part.register_forward_pre_hook(partial(_load, own=passing, value=values))
            part.register_forward_hook(partial(_drop, kept=dict(part._parameters)))
    return module


_SMALL = 1 << 18
"""Numbers of a parameter that is kept while others come and go."""


def _is_small(values: Values, name: str, parameter: torch.Tensor | None) -> bool:
    return parameter is not None and parameter.numel() <= _SMALL and not values.is_quantized(name)


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
            CompressError: one is missing.
        """
        self._parts = Parts(module, [*checkpoint.layouts, *checkpoint.others])
        self._stacks = {name for name, value in module.named_parameters() if value.ndim == 3}
        self.checkpoint = checkpoint

    @property
    def matrices(self) -> dict[str, Layout]:
        """The layouts of quantized matrices, but for those of experts."""
        stacked = {name for parameter in self._stacks for name in self._parts.sources[parameter]}
        return {name: layout for name, layout in self.checkpoint.layouts.items() if name not in stacked}

    def fill_buffers(self, module: torch.nn.Module) -> None:
        """Give buffers the values that the checkpoint has of them (by how much experts are preferred)."""
        for path, part in module.named_modules():
            for leaf, old in part._buffers.items():
                name = f"{path}.{leaf}".removeprefix(".")
                if old is not None and name in self._parts.sources:
                    part._buffers[leaf] = self._parts.made(name, self.checkpoint.tensor).to(old.dtype)

    def is_quantized(self, parameter: str) -> bool:
        """Whether it is a matrix of codes, or made of such."""
        return self._parts.sources[parameter][0] in self.checkpoint.layouts

    def stand_in(self, parameter: str, rows: RowNumbers) -> torch.Tensor:
        """The stand-in of a matrix in the shape of the parameter, or the values of what is not quantized;
        of experts nothing, on the meta device: they are found by name.
        """
        if not self.is_quantized(parameter):
            return self._parts.made(parameter, self.checkpoint.tensor)
        if parameter in self._stacks:
            return torch.empty(0, device="meta")

        def stand_in(name: str) -> torch.Tensor:
            made = rows.stand_in(name)
            return made.T if self.checkpoint.layouts[name].transposed else made

        return self._parts.made(parameter, stand_in)

    def experts(self, parameter: str) -> list[tuple[Source, ...]]:
        """Of each expert, whose matrices (N, K) are slices of the parameter, the rows that it is made of;
        none where the parameter is not quantized.
        """
        if not self.is_quantized(parameter):
            return []
        layouts = {name: self.checkpoint.layouts[name] for name in self._parts.sources[parameter]}
        rows = RowNumbers(layouts)
        stacked = self._parts.made(parameter, lambda name: rows.stand_in(name)[:, :1])  # (E, N, 1)
        columns = next(iter(layouts.values())).shape[1]
        return [rows.sources(one.expand(-1, columns).numpy()) for one in stacked]

    def __call__(self, parameter: str) -> torch.Tensor:
        """The values that a runtime computes with, in the shape of the parameter."""
        return self._parts.made(parameter, self._value)

    def _value(self, name: str) -> torch.Tensor:
        if name in self.checkpoint.layouts:
            return original_orientation(self.checkpoint.matrix(name))
        return self.checkpoint.tensor(name)
