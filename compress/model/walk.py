"""A model, one block at a time: its weights streamed, its activations in a file, each block a resume point.

The blocks are found by structure, the ModuleList of layers that holds most parameters; what calls them
is the model's own forward, so that masks, rotary positions and whatever else they are given is right.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from compress.core.errors import CompressError
from compress.model.load import empty_module, experts_apart
from compress.model.stream import WeightStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy as np

HIDDEN = "hidden_states"


class _Reached(Exception):
    """A forward came to where it was to stop."""


@dataclass
class _Call:
    """What a block is called with besides the hidden states."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def hidden(self) -> torch.Tensor:
        """The hidden states."""
        found: torch.Tensor = self.kwargs[HIDDEN] if HIDDEN in self.kwargs else self.args[0]
        return found

    def with_hidden(self, hidden: torch.Tensor) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if HIDDEN in self.kwargs:
            return self.args, {**self.kwargs, HIDDEN: hidden}
        return (hidden, *self.args[1:]), self.kwargs


class BlockWalk:
    """The blocks of the checkpoint in `folder` and what they are called with.

    Attributes:
        module: the whole model; parameters are on `meta` but for those of the part that is loaded.
        stream: its weights.
        prefix: the path of the blocks (`model.layers`).
        count: how many there are.
    """

    def __init__(self, folder: Path, task: str, *, half: bool = False) -> None:
        self.module: Any = empty_module(folder, task, buffers=True).float().eval()
        _plain(self.module.config)
        self.stream = WeightStream(folder, self.module)
        self.prefix, self._blocks = _find_blocks(self.module)
        self.count = len(self._blocks)
        self._half = half
        self._calls: list[_Call] = []
        self._tuple: tuple[Any, ...] | None = None

    def names(self, index: int) -> list[str]:
        """The checkpoint's names of a block's tensors."""
        return self.stream.names(f"{self.prefix}.{index}")

    def outer_names(self) -> list[str]:
        """The checkpoint's names of all that is in no block: embeddings, the last norm, the head."""
        inner = f"{self.prefix}."
        return [name for name, target in self.stream.targets.items() if not target.startswith(inner)]

    def elements(self) -> tuple[int, int, int]:
        """Numbers in all weights, in the embedding, and in a head of its own (one that is tied: none)."""
        table, head = self.module.get_input_embeddings(), self.module.get_output_embeddings()
        tied = head is None or self.module.config.get_text_config().tie_word_embeddings
        total = sum(parameter.numel() for parameter in self.module.parameters())
        own = 0 if head is None else head.weight.numel()
        total -= own if tied and head is not None and head.weight is not table.weight else 0
        return total, table.weight.numel(), 0 if tied else own

    @contextmanager
    def block(self, index: int) -> Iterator[torch.nn.Module]:
        """A block with its weights, in fp32."""
        self.stream.load(self.names(index))
        try:
            yield self._blocks[index]
        finally:
            self.stream.free(f"{self.prefix}.{index}.")

    @contextmanager
    def outer(self) -> Iterator[None]:
        """Everything around the blocks with its weights, in fp32."""
        self.stream.load(self.outer_names())
        _tie(self.module)
        try:
            yield
        finally:
            for name, _ in list(self.module.named_children()):
                self.stream.free(name)
            self.stream.free()

    @contextmanager
    def computing(self, *, gradients: bool = False) -> Iterator[None]:
        """For runs of a block whose weights do not change meanwhile: with `half`, products are computed in
        bfloat16 and each weight is rounded to it once; hidden states between layers stay in fp32.
        """
        autocast = torch.autocast("cpu", torch.bfloat16, enabled=self._half)
        with torch.inference_mode(not gradients), autocast:
            yield

    def parameter(self, name: str) -> torch.Tensor:
        """A parameter of the part that is loaded."""
        value: torch.Tensor = self.module.get_parameter(name).data
        return value

    def run(self, index: int, hidden: torch.Tensor) -> torch.Tensor:
        """What a loaded block makes of hidden states (1, T, H), in `computing()`."""
        args, kwargs = self._calls[index].with_hidden(hidden)
        return _first(self._blocks[index](*args, **kwargs))

    def learn(self, windows: np.ndarray) -> None:
        """Learn, in `outer()`, what blocks are called with for windows int64 (count, T).

        Raises:
            CompressError: blocks are not called once each in order, or with what depends on the text, or
                with several hidden states of a token.
        """
        with self.block(0):
            calls = self._recorded(windows[:1])
            again = self._recorded(windows[:1, ::-1].copy())
        shapes = {call.hidden.shape[:-1] for call in calls}
        if shapes != {windows[:1].shape}:
            message = f"the blocks at '{self.prefix}' are given hidden states {sorted(map(tuple, shapes))}"
            hint = "several for each token, as in Gemma 3n, cannot be streamed"
            raise CompressError("blocks-unsupported", message, hint=hint)
        if not all(_same(one, other) for one, other in zip(calls, again, strict=True)):
            message = f"the blocks at '{self.prefix}' are given values that depend on the text"
            raise CompressError("blocks-unsupported", message, hint="this architecture cannot be streamed")
        self._calls = calls

    def embed(self, window: np.ndarray) -> torch.Tensor:
        """The hidden states (1, T, H) that enter the first block for a window (1, T), in `outer()`."""
        entered: list[torch.Tensor] = []

        def stop(call: _Call, index: int) -> Any:
            entered.append(call.hidden)
            raise _Reached

        with _replaced(self._blocks, [stop]):
            self._forward(window)
        return entered[0]

    def follow(self, window: np.ndarray, hidden: torch.Tensor) -> None:
        """Run what follows the blocks on what left the last of them, in `outer()`."""
        with _replaced(self._blocks, [lambda call, index: self._like(hidden)] * self.count):
            self._forward(window)

    def logits(self, window: np.ndarray, hidden: torch.Tensor) -> torch.Tensor:
        """The model's answers (1, T, V) to what left the last block, in `outer()`."""
        with _replaced(self._blocks, [lambda call, index: self._like(hidden)] * self.count):
            found: torch.Tensor = self.module(input_ids=torch.from_numpy(window)).logits
        return found.float()

    def _recorded(self, window: np.ndarray) -> list[_Call]:
        calls: list[tuple[int, _Call]] = []
        first = self._blocks[0].forward

        def record(call: _Call, index: int) -> Any:
            calls.append((index, call))
            if index == 0:
                found = first(*call.args, **call.kwargs)
                self._tuple = tuple(found) if isinstance(found, tuple) else None
            return self._like(call.hidden)

        with _replaced(self._blocks, [record] * self.count):
            self._forward(window)
        if [index for index, _ in calls] != list(range(self.count)):
            message = f"the {self.count} blocks at '{self.prefix}' are not called once each, in order"
            raise CompressError("blocks-unsupported", message, hint="this architecture cannot be streamed")
        return [call for _, call in calls]

    def _forward(self, window: np.ndarray) -> None:
        # Not in inference mode: of what blocks are called with gradients may be wanted later.
        with torch.no_grad(), _until_reached():
            self.module(input_ids=torch.from_numpy(window))

    def _like(self, hidden: torch.Tensor) -> Any:
        """Hidden states as blocks give them back: bare, or before whatever else they give."""
        return hidden if self._tuple is None else (hidden, *self._tuple[1:])


def leave() -> None:
    """Leave the forward that `follow` started: for observers that have seen enough."""
    raise _Reached


@contextmanager
def _until_reached() -> Iterator[None]:
    try:
        yield
    except _Reached:
        return


@contextmanager
def _replaced(blocks: Any, forwards: list[Callable[[_Call, int], Any]]) -> Iterator[None]:
    """Other forwards for the first blocks; attributes that models read of their blocks stay."""
    for index, forward in enumerate(forwards):
        blocks[index].forward = _bound(forward, index)
    try:
        yield
    finally:
        for index in range(len(forwards)):
            del blocks[index].forward


def _bound(forward: Callable[[_Call, int], Any], index: int) -> Callable[..., Any]:
    return lambda *args, **kwargs: forward(_Call(args, kwargs), index)


def _plain(config: Any) -> None:
    config.use_cache = False
    experts_apart(config)


def _find_blocks(module: torch.nn.Module) -> tuple[str, torch.nn.ModuleList]:
    found: Counter[str] = Counter()
    for path, child in module.named_modules():
        if isinstance(child, torch.nn.ModuleList) and _alike(child):
            found[path] = sum(parameter.numel() for parameter in child.parameters())
    if not found:
        message = f"{type(module).__name__} has no list of like blocks"
        raise CompressError("blocks-unsupported", message, hint="quantize its graph (quantize.weights)")
    path = found.most_common(1)[0][0]
    blocks: Any = module.get_submodule(path)
    return path, blocks


def _alike(members: torch.nn.ModuleList) -> bool:
    """Whether they are of one class, or layers of a model that has several kinds of them in turn."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    kinds = {type(member) for member in members}
    layers = all(issubclass(kind, GradientCheckpointingLayer) for kind in kinds)
    return len(kinds) == 1 or (len(kinds) > 1 and layers)


def _tie(module: Any) -> None:
    """Give the head the embedding's weight where they are one."""
    table, head = module.get_input_embeddings(), module.get_output_embeddings()
    if head is None:
        return
    if head.weight.is_meta:
        head.weight = table.weight
    if module.config.get_text_config().tie_word_embeddings and torch.equal(head.weight, table.weight):
        head.weight = table.weight


def _first(found: Any) -> torch.Tensor:
    value: torch.Tensor = found[0] if isinstance(found, tuple) else found
    return value


def _same(one: Any, other: Any) -> bool:
    """Whether two calls are alike but for the hidden states; tensors are compared by value."""
    args = zip(one.args[1:], other.args[1:], strict=True)
    names = (one.kwargs.keys() | other.kwargs.keys()) - {HIDDEN}
    named = ((one.kwargs.get(name), other.kwargs.get(name)) for name in names)
    return all(_equal(a, b) for pairs in (args, named) for a, b in pairs)


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return a.shape == b.shape and bool(torch.equal(a, b))
    if isinstance(a, tuple | list) and isinstance(b, tuple | list):
        return len(a) == len(b) and all(_equal(x, y) for x, y in zip(a, b, strict=True))
    return type(a) is type(b)
