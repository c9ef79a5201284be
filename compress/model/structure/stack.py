"""The blocks of a transformer: found in a module by what it holds, not by its architecture's name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from transformers.pytorch_utils import Conv1D

from compress.core.errors import CompressError

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Stack:
    """Blocks of one kind that run one after another; `path` is the dotted name of their list."""

    path: str
    blocks: torch.nn.ModuleList

    def __len__(self) -> int:
        return len(self.blocks)

    def name(self, index: int) -> str:
        """The dotted name of a block."""
        return f"{self.path}.{index}"


def find_stack(module: torch.nn.Module) -> Stack:
    """The list of blocks that holds most of a model's matrices. Lists inside of blocks are no stacks.

    Raises:
        CompressError: there is no list of blocks with matrices.
    """
    found = [Stack(path, child) for path, child in _lists(module, "")]
    best = max(found, key=lambda stack: _matrix_elements(stack.blocks), default=None)
    if best is None or not _matrix_elements(best.blocks):
        kinds = ", ".join(sorted({type(child).__name__ for child in module.children()}))
        message = f"no list of transformer blocks in {type(module).__name__} (found {kinds})"
        raise CompressError("structure-unsupported", message, hint="leave this step out")
    return best


def _lists(module: torch.nn.Module, path: str) -> Iterator[tuple[str, torch.nn.ModuleList]]:
    for name, child in module.named_children():
        inner = f"{path}.{name}" if path else name
        if isinstance(child, torch.nn.ModuleList):
            if len(child):
                yield inner, child
        else:
            yield from _lists(child, inner)


def linears(module: torch.nn.Module) -> dict[str, torch.nn.Module]:
    """The dense layers inside of a module by their dotted names, in the order of their definition.

    These are `torch.nn.Linear`, and GPT-2's `Conv1D`, which stores the same matrix transposed.
    """
    return {
        name: child for name, child in module.named_modules() if isinstance(child, torch.nn.Linear | Conv1D)
    }


def is_transposed(linear: torch.nn.Module) -> bool:
    """Whether a dense layer stores (in, out) and not (out, in)."""
    return isinstance(linear, Conv1D)


def matrix_of(linear: torch.nn.Module) -> torch.Tensor:
    """The weight of a dense layer as (out, in), whichever way it is stored: a view."""
    weight: torch.Tensor = linear.weight
    return weight.t() if is_transposed(linear) else weight


def _matrix_elements(module: torch.nn.Module) -> int:
    return sum(linear.weight.numel() for linear in linears(module).values())
