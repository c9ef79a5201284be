"""A model without one of its blocks, run from there on: the blocks before give what they gave before.

Of B items of T tokens one hidden state (B, T, D) is kept for each block that is left out in turn, and never
those of all blocks.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import torch

from compress.model.structure.depth import only_blocks, through
from compress.model.structure.outputs import answer
from compress.model.structure.stack import find_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from compress.model.structure.outputs import Answer

    Tensors = Mapping[str, torch.Tensor]


class _Done(Exception):
    pass


class Prefixes:
    """The blocks `keep` of a module, of which one of `candidates` at a time is left out of one batch's run.

    All of them run once, up to the last candidate.
    """

    def __init__(
        self, module: torch.nn.Module, keep: Sequence[int], candidates: Sequence[int], batch: Tensors
    ) -> None:
        self._module, self._keep, self._batch = module, list(keep), batch
        self._blocks = [find_stack(module).blocks[index] for index in keep]
        self._hidden: dict[int, torch.Tensor] = {}
        self._rest: dict[int, tuple[Any, ...] | None] = {}
        self._record({self._keep.index(one) - 1 for one in candidates} - {-1})

    def without(self, one: int) -> Answer:
        """What the module answers without a candidate."""
        place = self._keep.index(one)
        with only_blocks(self._module, [index for index in self._keep if index != one]), ExitStack() as ways:
            for before in range(place):
                ways.enter_context(_instead(self._blocks[before], self._again(before, before == place - 1)))
            return answer(self._module, self._batch)

    def _record(self, places: set[int]) -> None:
        """Run the blocks, and keep the hidden states behind `places` and whatever else any block gives
        (T5's first block has the position bias of all).
        """

        def hook(place: int) -> Callable[..., None]:
            def see(_: torch.nn.Module, args: Any, kwargs: Any, output: Any) -> None:
                self._rest[place] = output[1:] if isinstance(output, tuple) else None
                if place in places:
                    self._hidden[place] = through(args, kwargs, output)[1].clone()
                if place == max(places):
                    raise _Done

            return see

        if not places:
            return
        with only_blocks(self._module, self._keep), ExitStack() as hooks, suppress(_Done):
            for place, block in enumerate(self._blocks[: max(places) + 1]):
                hooks.callback(block.register_forward_hook(hook(place), with_kwargs=True).remove)
            answer(self._module, self._batch)

    def _again(self, place: int, last: bool) -> Callable[..., Any]:
        """Give what a block gave; hidden states that only blocks read which do not run are whatever came."""

        def forward(*args: Any, **kwargs: Any) -> Any:
            hidden = self._hidden[place] if last else (args[0] if args else kwargs["hidden_states"])
            rest = self._rest[place]
            return hidden if rest is None else (hidden, *rest)

        return forward


@contextmanager
def _instead(block: Any, forward: Callable[..., Any]) -> Iterator[None]:
    """Within, a block does something else; it stays the module that it is, with all its attributes."""
    block.forward = forward
    try:
        yield
    finally:
        del block.forward


def plain(module: torch.nn.Module, keep: Sequence[int], one: int, batch: Tensors) -> Answer:
    """What a module answers with the blocks `keep` but `one`, which all run."""
    with only_blocks(module, [index for index in keep if index != one]):
        return answer(module, batch)


def runs_from_within(module: torch.nn.Module, depth: int, batch: Tensors) -> bool:
    """Whether answers are the same to the bit; not where something beside the next block reads what a block
    gives. One item is run.
    """
    first = {name: value[:1] for name, value in batch.items()}
    one = depth - 1
    found = Prefixes(module, range(depth), [one], first).without(one)
    return bool(torch.equal(found.values, plain(module, range(depth), one, first).values))
