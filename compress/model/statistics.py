"""The Hessians of a block's matrices, one for all that read the same input."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from compress.model.observe import ProductObserver, Weight
from compress.numerics.hessian import Cross, Hessian

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import torch


@dataclass
class SharedInput:
    """Matrices that read one input, the first of which is the one it was counted for."""

    hessian: Hessian
    cross: Cross | None = None
    weights: list[Weight] = field(default_factory=list)


class InputStatistics:
    """Gathers Hessians while a part of a model runs on one calibration window after the other.

    Which matrices share an input is seen in the window in which they are met first: they are given
    one and the same tensor.
    """

    def __init__(
        self, parameters: Mapping[str, torch.Tensor], *, after: Callable[[], None] | None = None
    ) -> None:
        self._parameters, self._after = parameters, after
        self._shared: dict[Weight, SharedInput] = {}
        self._window: dict[tuple[int, torch.Size], SharedInput] = {}
        self._born: set[int] = set()
        self._exact: dict[Weight, np.ndarray] = {}
        self._pending: list[tuple[SharedInput, np.ndarray, np.ndarray | None]] = []

    @property
    def inputs(self) -> list[SharedInput]:
        """What was gathered, in the order in which it was met."""
        return list({id(one): one for one in self._shared.values()}.values())

    def record(self, forward: Callable[[], object]) -> None:
        """Run `forward` of the exact model on the window that is watched next: what its products read is
        what those of the quantized model should have read.
        """
        with ProductObserver(self._parameters, self._recorded):
            forward()

    def watch(self, forward: Callable[[], torch.Tensor | None], *, relative: float = 0.0) -> None:
        """Run `forward` on one window and add what its products read.

        With `relative` a token counts by the inverse of the mean square of the hidden states (1, T, H)
        that `forward` gives, to that power: the norm that reads them next divides by its root. Without,
        the few tokens whose hidden states are a thousand times larger than all others (Sun et al. 2024,
        arXiv:2402.17762) count most.
        """
        observer = ProductObserver(self._parameters, self._seen)
        with observer:
            left = forward()
        weights = _weights(left, relative) if relative and left is not None else None
        for shared, rows, exact in self._pending:
            _add(shared, rows, exact, weights)
        self._pending.clear()
        self._exact.clear()
        self._window.clear()
        self._born.clear()
        observer.forget()

    def _seen(self, weight: Weight, x: torch.Tensor) -> None:
        if not x.numel():
            return
        key = (x.data_ptr(), x.shape)
        if weight not in self._shared:
            self._join(weight, key, x.shape[-1])
        shared = self._shared[weight]
        self._window.setdefault(key, shared)
        if shared.weights[0] == weight:
            self._pending.append((shared, _rows(x), self._exact.get(weight)))
            if self._after:
                self._after()

    def _recorded(self, weight: Weight, x: torch.Tensor) -> None:
        if weight.index is None:  # experts may be given other tokens
            self._exact[weight] = _rows(x)

    def _join(self, weight: Weight, key: tuple[int, torch.Size], size: int) -> None:
        """Share with whoever read the same tensor and is as new; else begin a Hessian."""
        shared = self._window.get(key)
        if shared is None or id(shared) not in self._born:
            shared = SharedInput(Hessian(size))
            self._born.add(id(shared))
        shared.weights.append(weight)
        self._shared[weight] = shared


def _rows(x: torch.Tensor) -> np.ndarray:
    """(..., K) as float32 rows (n, K), a copy: what follows may change a tensor in place."""
    return np.array(x.detach().float().reshape(-1, x.shape[-1]).numpy())


def _weights(hidden: torch.Tensor, power: float) -> np.ndarray:
    """Roots of the tokens' weights, (T, 1), as rows are squared; their mean square is 1."""
    size = hidden.detach().float().reshape(-1, hidden.shape[-1]).square().mean(dim=1)
    inverse = size.clamp_min(1e-12) ** -power
    return np.asarray((inverse / inverse.mean()).sqrt()[:, None].numpy())


def _add(shared: SharedInput, rows: np.ndarray, exact: np.ndarray | None, weights: np.ndarray | None) -> None:
    if weights is not None and len(weights) == len(rows):  # experts read a part of the tokens
        rows, exact = rows * weights, None if exact is None else exact * weights
    shared.hessian.add(rows)
    if exact is not None:
        shared.cross = shared.cross or Cross(rows.shape[1])
        shared.cross.add(exact, rows)
