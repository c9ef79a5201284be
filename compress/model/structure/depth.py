"""A model that runs with some of its blocks alone."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch

from compress.core.errors import CompressError
from compress.model.structure.stack import find_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from compress.model.structure.stack import Stack


@contextmanager
def only_blocks(module: torch.nn.Module, keep: Sequence[int]) -> Iterator[None]:
    """Within, `module` runs with the blocks `keep` of its stack alone, in this order."""
    stack, config = find_stack(module), module.config
    parent, _, name = stack.path.rpartition(".")
    holder = module.get_submodule(parent)
    lists = _layer_lists(config, len(stack))
    setattr(holder, name, torch.nn.ModuleList([stack.blocks[index] for index in keep]))
    for where, key, values in lists:
        where.__dict__[key] = [values[index] for index in keep]
    try:
        yield
    finally:
        setattr(holder, name, stack.blocks)
        for where, key, values in lists:
            where.__dict__[key] = values


def _layer_lists(config: Any, depth: int) -> list[tuple[Any, str, list[Any]]]:
    """Lists of a configuration, or of one inside it, with an entry for each layer."""
    found = []
    for key, value in vars(config).items():
        if isinstance(value, list) and len(value) == depth and "layer" in key:
            found.append((config, key, value))
        elif hasattr(value, "to_dict"):
            found += _layer_lists(value, depth)
    return found


def refuse_uneven(module: torch.nn.Module, stack: Stack, run: Callable[[], Any]) -> None:
    """Refuse blocks that cannot be left out: what goes in has another shape than what comes out.

    Raises:
        CompressError: a block changes the shape of the hidden states, or does not run once.
    """
    seen: list[tuple[torch.Size, torch.Size]] = []

    def see(_: torch.nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        before, after = through(args, kwargs, output)
        seen.append((before.shape, after.shape))

    with ExitStack() as hooks:
        for block in stack.blocks:
            hooks.callback(block.register_forward_hook(see, with_kwargs=True).remove)
        run()
    kind = type(stack.blocks[0]).__name__
    if len(seen) != len(stack):
        message = (
            f"the {len(stack)} blocks of {stack.path} ({kind}) run {len(seen)} times: they share weights"
        )
        raise CompressError("structure-unsupported", message, hint="leave prune.layers out")
    for index, (before, after) in enumerate(seen):
        if before != after:
            message = f"{stack.name(index)} ({kind}) turns {list(before)} into {list(after)}"
            raise CompressError("structure-unsupported", message, hint="leave prune.layers out")


def through(args: Any, kwargs: Any, output: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The hidden states that a block was given and that it gave."""
    before = args[0] if args else kwargs["hidden_states"]
    return before, output[0] if isinstance(output, tuple) else output
