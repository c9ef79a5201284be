"""Which outputs of a dense layer reach which inputs of the next one: the units of a block, observed.

The outputs of every dense layer in a block are replaced by leaves of the autograd graph, so that a gradient
at another layer's input shows the direct paths alone: through an activation, a gate, or an attention, but
through no second matrix. Leaves and cotangents are random and positive, so that no ReLU is closed and nothing
cancels by chance; which gradients are exactly zero depends on the architecture and not on its weights.
"""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from compress.model.structure.stack import linears

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True)
class Units:
    """What can be removed between `producers` and `consumer`: U units that do not touch each other.

    `columns` int (U, C) are the inputs of the consumer that belong to each unit, `rows[name]` int (U, R)
    the outputs of each producer. A unit of an FFN has one column, a group of attention heads many.
    """

    consumer: str
    columns: np.ndarray
    rows: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.columns)


@dataclass
class _Trace:
    """Leaves by the name of the layer whose output they replace, and the inputs of layers."""

    leaves: dict[str, list[torch.Tensor]] = field(default_factory=dict)
    inputs: dict[str, torch.Tensor] = field(default_factory=dict)


class _Done(Exception):
    pass


def find_units(block: torch.nn.Module, run: Callable[[], Any]) -> list[Units]:
    """The units of a block; `run` runs the whole model on some input, and is stopped behind the block."""
    trace = _traced(block, run)
    found = [_units(trace, consumer) for consumer in trace.inputs]
    return [units for units in found if units is not None]


def _traced(block: torch.nn.Module, run: Callable[[], Any]) -> _Trace:
    trace, generator = _Trace(), torch.Generator().manual_seed(0)

    def replace(name: str) -> Callable[..., torch.Tensor]:
        def hook(_: torch.nn.Module, args: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
            trace.inputs.setdefault(name, args[0])
            leaf = (torch.rand(output.shape, generator=generator) + 0.5).requires_grad_()
            trace.leaves.setdefault(name, []).append(leaf)
            return leaf

        return hook

    def stop(*_: Any) -> None:
        raise _Done

    with ExitStack() as hooks, torch.enable_grad():
        for name, linear in linears(block).items():
            hooks.callback(linear.register_forward_hook(replace(name)).remove)
        hooks.callback(block.register_forward_hook(stop).remove)
        with suppress(_Done):
            run()
    return trace


def _units(trace: _Trace, consumer: str) -> Units | None:
    """The units in front of one consumer; None where everything depends on everything."""
    x = trace.inputs[consumer]
    if not x.requires_grad:
        return None
    weights = torch.rand(x.shape, generator=torch.Generator().manual_seed(1)) + 0.5
    probe = _Probe(x, weights, trace.leaves)
    first = probe.reached([0])
    producers = [name for name, hit in first.items() if hit.any()]
    if not producers or any(first[name].all() for name in producers):
        return None
    links = probe.one_to_one(producers) or probe.every_column(producers)
    return _components(consumer, links, columns=x.shape[-1])


class _Probe:
    """Gradients of one layer's input (..., n) with respect to leaves (..., m)."""

    def __init__(
        self, x: torch.Tensor, weights: torch.Tensor, leaves: Mapping[str, list[torch.Tensor]]
    ) -> None:
        self.x, self.weights, self.leaves = x, weights, leaves

    def reached(self, columns: Sequence[int] | np.ndarray) -> dict[str, np.ndarray]:
        """By leaf: which of its features, bool (m,), have a path to one of these columns."""
        cotangent = torch.zeros_like(self.x)
        index = torch.as_tensor(columns)
        cotangent[..., index] = self.weights[..., index]
        flat = [leaf for leaves in self.leaves.values() for leaf in leaves]
        gradients = iter(torch.autograd.grad(self.x, flat, cotangent, retain_graph=True, allow_unused=True))
        return {name: _any([next(gradients) for _ in leaves], leaves[0].shape[-1])
                for name, leaves in self.leaves.items()}  # fmt: skip

    def one_to_one(self, producers: Sequence[str]) -> dict[str, np.ndarray] | None:
        """Links bool (m, n) where every feature reaches exactly one column, by reading the column's number
        bit by bit; None where one reaches several.
        """
        count = self.x.shape[-1]
        number = {name: np.zeros(self.leaves[name][0].shape[-1], int) for name in producers}
        for bit in range(max(1, (count - 1).bit_length())):
            low, high = (np.flatnonzero((np.arange(count) >> bit & 1) == value) for value in (0, 1))
            zeros, ones = self.reached(low), self.reached(high)
            if any((zeros[name] == ones[name]).any() for name in producers):
                return None
            for name in producers:
                number[name] |= ones[name].astype(int) << bit
        return {name: found[:, None] == np.arange(count) for name, found in number.items()}

    def every_column(self, producers: Sequence[str]) -> dict[str, np.ndarray]:
        """Links bool (m, n), one column after the other."""
        found = [self.reached([column]) for column in range(self.x.shape[-1])]
        return {name: np.stack([hit[name] for hit in found], axis=1) for name in producers}


def _any(gradients: Sequence[torch.Tensor | None], features: int) -> np.ndarray:
    hit = np.zeros(features, bool)
    for gradient in gradients:
        if gradient is not None:
            hit |= (gradient.reshape(-1, features) != 0).any(dim=0).numpy()
    return hit


def _components(consumer: str, links: Mapping[str, np.ndarray], *, columns: int) -> Units | None:
    """Units are what is connected; None where there is but one, or where they are not all alike."""
    stacked = np.concatenate(list(links.values()))  # (all features, n)
    rows, reached = np.nonzero(stacked)
    size = columns + len(stacked)
    graph = coo_array((np.ones(len(rows)), (columns + rows, reached)), shape=(size, size))
    count, labels = connected_components(graph, directed=False)
    parts = np.split(labels, np.cumsum([columns, *(len(link) for link in links.values())])[:-1])
    members = [_members(part, count) for part in parts]
    if count < 2 or any(one is None for one in members):
        return None
    order = np.argsort(members[0][:, 0])  # units in the order of their first column
    named = zip(links, members[1:], strict=True)
    return Units(consumer, members[0][order], {name: one[order] for name, one in named if one is not None})


def _members(labels: np.ndarray, count: int) -> Any:
    """(count, size): the features of each label, ascending; None where labels have unequal numbers."""
    sizes = np.bincount(labels, minlength=count)
    if len(set(sizes)) > 1 or not sizes[0]:
        return None
    return np.argsort(labels, kind="stable").reshape(count, sizes[0])
