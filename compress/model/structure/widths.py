"""`widths.json`: how a checkpoint's dense layers differ from what its config.json makes.

    {"format": 1,
     "linears": {"encoder.layer.0.intermediate.dense": [1152, 384]},         (out, in)
     "tables": {"encoder.relative_attention_bias.weight": [32, 9]},
     "counts": {"encoder.layer.0.attention.self": {"num_attention_heads": 9}}}

A module is built from config.json without weights, cut to these widths, and then given its weights.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from compress.core.errors import CompressError
from compress.model.safety import read_json
from compress.model.sidecar_names import WIDTHS
from compress.model.structure.shrink import counts_of, keep_heads, set_matrix
from compress.model.structure.stack import linears, matrix_of

if TYPE_CHECKING:
    from pathlib import Path

_FORMAT = 1


@dataclass(frozen=True)
class Widths:
    """Shapes (out, in) of dense layers and counts of heads, by dotted names of modules; and shapes of tables
    with a column for each head, by dotted names of parameters.
    """

    linears: dict[str, tuple[int, int]] = field(default_factory=dict)
    tables: dict[str, tuple[int, int]] = field(default_factory=dict)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.linears) + len(self.tables) + len(self.counts)


def differences(built: torch.nn.Module, module: torch.nn.Module) -> Widths:
    """What to change in `built` (a module of the same structure) for it to have the widths of `module`."""
    plain = linears(built)
    shapes = {name: _shape(linear) for name, linear in linears(module).items()}
    cut = {name: shape for name, shape in shapes.items() if _shape(plain[name]) != shape}
    return Widths(cut, _tables(built, module), _counts(built, module))


def _tables(built: torch.nn.Module, module: torch.nn.Module) -> dict[str, tuple[int, int]]:
    dense, plain = linears(module), dict(built.named_parameters())
    return {
        name: (int(value.shape[0]), int(value.shape[1]))
        for name, value in module.named_parameters()
        if name.rpartition(".")[0] not in dense and value.ndim == 2 and plain[name].shape != value.shape
    }


def _counts(built: torch.nn.Module, module: torch.nn.Module) -> dict[str, dict[str, int]]:
    dense, counts = linears(module), {}
    for name, holder in module.named_modules():
        if name not in dense:
            old, now = built.get_submodule(name), vars(holder)
            other = {count: now[count] for count in counts_of(holder) if vars(old).get(count) != now[count]}
            counts.update({name: other} if other else {})
    return counts


def write_widths(widths: Widths, folder: Path, *, replaces: Path) -> None:
    """Write the file; none where there is nothing to say, and none beside the checkpoint that `folder`'s
    replaces, whose file would be taken over.
    """
    if len(widths) or (replaces / WIDTHS).exists():
        values = {"format": _FORMAT, **asdict(widths)}
        (folder / WIDTHS).write_text(json.dumps(values, indent=1, sort_keys=True), encoding="utf8")


def read_widths(folder: Path) -> Widths:
    """The widths of a checkpoint; empty where its config.json says all.

    Raises:
        CompressError: the file is not of this form.
    """
    if not (folder / WIDTHS).exists():
        return Widths()
    values = read_json(folder / WIDTHS, code="widths-invalid")
    if values.get("format") != _FORMAT:
        raise _invalid(f"format {values.get('format')!r}, expected {_FORMAT}")
    counts = values.get("counts", {})
    if not all(_is_count(value) for group in counts.values() for value in group.values()):
        raise _invalid("a count is not a positive number")
    return Widths(_shapes(values.get("linears", {})), _shapes(values.get("tables", {})), counts)


def _shapes(values: dict[str, Any]) -> dict[str, tuple[int, int]]:
    for name, shape in values.items():
        if not (isinstance(shape, list) and len(shape) == 2 and all(_is_count(size) for size in shape)):
            raise _invalid(f"the shape of '{name}' is not two positive numbers")
    return {name: (shape[0], shape[1]) for name, shape in values.items()}


def apply_widths(module: torch.nn.Module, widths: Widths) -> None:
    """Cut a module to its widths; its weights there are then undefined.

    Raises:
        CompressError: a name is not in the module, or a width is larger than the module's own.
    """
    dense, parameters = linears(module), dict(module.named_parameters())
    for name, (rows, columns) in widths.linears.items():
        if name not in dense or rows > _shape(dense[name])[0] or columns > _shape(dense[name])[1]:
            raise _invalid(f"'{name}' is no dense layer of at least {rows} x {columns}")
        _resize(dense[name], rows, columns)
    for name, (rows, columns) in widths.tables.items():
        whole = tuple(parameters[name].shape) if name in parameters else ()
        if len(whole) != 2 or whole[0] != rows or whole[1] < columns:
            raise _invalid(f"'{name}' is no table of {rows} x at least {columns}")
        keep_heads(module, name, np.arange(columns))
    _set_counts(module, widths.counts)


def _set_counts(module: torch.nn.Module, counts: dict[str, dict[str, int]]) -> None:
    modules = dict(module.named_modules())
    for name, values in counts.items():
        for count, value in values.items():
            if name not in modules or count not in counts_of(modules[name]):
                raise _invalid(f"'{name}' has no count '{count}'")
            if value > getattr(modules[name], count):
                raise _invalid(f"'{name}.{count}' is larger than the model's own")
            setattr(modules[name], count, value)


def _resize(linear: torch.nn.Module, rows: int, columns: int) -> None:
    set_matrix(linear, matrix_of(linear).detach()[:rows, :columns])
    if linear.bias is not None:
        linear.bias = torch.nn.Parameter(linear.bias.detach()[:rows].clone(), requires_grad=False)


def _shape(linear: torch.nn.Module) -> tuple[int, int]:
    rows, columns = matrix_of(linear).shape
    return int(rows), int(columns)


def _is_count(value: Any) -> bool:
    return type(value) is int and value > 0


def _invalid(reason: str) -> CompressError:
    return CompressError("widths-invalid", f"{WIDTHS}: {reason}", hint="prune the original model again")
