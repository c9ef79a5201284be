"""The Hessians of a block's matrices, one for all that read the same input."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from compress.model.observe import ProductObserver, Weight
from compress.numerics.hessian import Hessian

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import torch


@dataclass
class SharedInput:
    """Matrices that read one input, the first of which is the one it was counted for."""

    hessian: Hessian
    weights: list[Weight] = field(default_factory=list)


class _Complete(Exception):
    """Every matrix has been read: what follows in a window's forward is of no use."""


class InputStatistics:
    """Gathers Hessians while a part of a model runs on one calibration window after the other.

    Which matrices share an input is seen in the window in which they are met first: they are given
    one and the same tensor. Where the first window read each matrix once, later ones are left when all
    have been read, before the last product is computed.
    """

    def __init__(
        self, parameters: Mapping[str, torch.Tensor], *, after: Callable[[], None] | None = None
    ) -> None:
        self._parameters, self._after = parameters, after
        self._shared: dict[Weight, SharedInput] = {}
        self._window: dict[tuple[int, torch.Size], SharedInput] = {}
        self._born: set[int] = set()
        self._read: Counter[Weight] = Counter()
        self._expected: frozenset[Weight] = frozenset()

    @property
    def inputs(self) -> list[SharedInput]:
        """What was gathered, in the order in which it was met."""
        return list({id(one): one for one in self._shared.values()}.values())

    def watch(self, forward: Callable[[], object]) -> None:
        """Run `forward` on one window and add what its products read."""
        observer = ProductObserver(self._parameters, self._seen)
        with suppress(_Complete), observer:
            forward()
            self._expect()
        self._window.clear()
        self._born.clear()
        self._read.clear()
        observer.forget()

    def _expect(self) -> None:
        """After a whole forward: what later ones are to read, if it is all and each once."""
        whole = {weight.name for weight in self._read} == set(self._parameters)
        apart = all(weight.index is None for weight in self._read)  # routing differs by window
        once = set(self._read.values()) == {1}
        self._expected = frozenset(self._read) if whole and apart and once else frozenset()

    def _seen(self, weight: Weight, x: torch.Tensor) -> None:
        self._add(weight, x)
        self._read[weight] += 1
        if self._expected and len(self._read) == len(self._expected):
            raise _Complete

    def _add(self, weight: Weight, x: torch.Tensor) -> None:
        if not x.numel():
            return
        key = (x.data_ptr(), x.shape)
        if weight not in self._shared:
            self._join(weight, key, x.shape[-1])
        shared = self._shared[weight]
        self._window.setdefault(key, shared)
        if shared.weights[0] == weight:
            shared.hessian.add(x.detach().float().reshape(-1, x.shape[-1]).numpy())
            if self._after:
                self._after()

    def _join(self, weight: Weight, key: tuple[int, torch.Size], size: int) -> None:
        """Share with whoever read the same tensor and is as new; else begin a Hessian."""
        shared = self._window.get(key)
        if shared is None or id(shared) not in self._born:
            shared = SharedInput(Hessian(size))
            self._born.add(id(shared))
        shared.weights.append(weight)
        self._shared[weight] = shared
