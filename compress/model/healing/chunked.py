"""The divergence of two language models from what their heads are given, without the logits of all positions.

A chunk of positions at a time, logits, loss and gradient are computed and forgotten, as Hsu et al. 2024 do
(Liger Kernel, 2410.10989): the gradient of KL(p || q) with respect to the student's logits is q - p, so that
there is nothing to keep for the backward pass but the sums that it returns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import log_softmax, softmax

from compress.model.healing.tokens import folded_logs

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOGITS = 1 << 24
"""Logits of each model that are in memory at once: 64 MiB in fp32, half as much in bfloat16."""
_BLOCK = 1 << 17
"""Those of them whose probabilities are: what fits a core's cache, and is smaller than what allocators map
anew each time (a loss of 512 positions over 43,000 tokens: 0.9 s and, where they do, 1.7 s in whole chunks).
"""


@dataclass(frozen=True, kw_only=True)
class Product:
    """Logits that were not computed: `weight` (V, D) and `bias` (V,) times `features` (N, D). The
    probabilities of the last R of them belong to others: those that `into` (R,) names.
    """

    features: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor | None
    into: torch.Tensor | None = None

    def multiply(self, rows: slice, out: torch.Tensor) -> torch.Tensor:
        """The products of some positions, (n, V), without the bias, in the memory of `out` and its dtype."""
        features = self.features[rows].to(out.dtype)
        return torch.mm(features, self.weight.T, out=out[: len(features)])

    def log_probabilities(self, products: torch.Tensor) -> torch.Tensor:
        """Of `multiply`'s products (n, V), in fp32: (n, V - R)."""
        logits = products.float() if self.bias is None else products + self.bias.float()
        if self.into is None or not len(self.into):
            return log_softmax(logits, dim=-1)
        return folded_logs(softmax(logits, dim=-1), self.into)

    def to(self, dtype: torch.dtype) -> Product:
        """With a weight that no chunk has to convert."""
        return replace(self, weight=self.weight.to(dtype))


def chunked_divergence(
    ours: Product, theirs: Product, *, dtype: torch.dtype = torch.float32, chunk: int | None = None
) -> torch.Tensor:
    """The mean KL(theirs || ours) over N >= 1 positions, whose tokens are the same ones in both.

    `dtype` is what products are computed in; `chunk` positions are in memory at once (None: as many as
    `_LOGITS` allows). Gradients go to our features, weight and bias.
    """
    rows = min(chunk or max(16, _LOGITS // len(ours.weight)), len(ours.features))
    result: torch.Tensor = _Divergence.apply(
        ours.features, ours.weight, ours.bias, theirs.to(dtype), rows, dtype
    )
    return result


class _Divergence(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(
        ctx: Any,
        features: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        theirs: Product,
        chunk: int,
        dtype: torch.dtype,
    ) -> torch.Tensor:
        ours = Product(features=features, weight=weight, bias=bias).to(dtype)
        sums = _Sums(ours, learn=any(ctx.needs_input_grad))
        mine, others = (one.weight.new_empty(chunk, len(one.weight)) for one in (ours, theirs))
        for rows in _chunks(len(features), chunk):
            sums.add(rows, ours.multiply(rows, mine), theirs.multiply(rows, others), theirs)
        ctx.gradients = sums.gradients()
        return sums.loss

    @staticmethod
    def backward(ctx: Any, *outer: torch.Tensor) -> Any:
        found = [None if one is None else one.mul_(outer[0]) for one in ctx.gradients]
        ctx.gradients = None
        return (*found, None, None, None)


class _Sums:
    """The mean loss over N positions and its gradients, chunk after chunk."""

    def __init__(self, ours: Product, *, learn: bool) -> None:
        self.loss = ours.features.new_zeros((), dtype=torch.float32)
        self._ours, self._learn = ours, learn
        self._bias = None if ours.bias is None or not learn else torch.zeros_like(ours.bias)
        if learn:
            self._features = torch.empty_like(ours.features, dtype=ours.weight.dtype)
            self._weight = torch.zeros_like(ours.weight, dtype=torch.float32)

    def add(self, rows: slice, ours: torch.Tensor, others: torch.Tensor, theirs: Product) -> None:
        """Add the positions `rows`, of both products (n, V); the first is overwritten."""
        for block in _chunks(len(ours), max(1, _BLOCK // ours.shape[1])):
            slope = self._compared(ours[block], theirs.log_probabilities(others[block]))
            if self._learn:
                ours[block] = slope
        if self._learn:
            features = self._ours.features[rows].to(ours.dtype)
            torch.mm(ours, self._ours.weight, out=self._features[rows])
            self._weight += ours.T @ features

    def _compared(self, products: torch.Tensor, log_p: torch.Tensor) -> torch.Tensor:
        """Add the divergence of some positions; its gradient with respect to their logits, (n, V)."""
        log_q = self._ours.log_probabilities(products)
        p, count = log_p.exp(), len(self._ours.features)
        self.loss += torch.linalg.vecdot(p, log_p.sub_(log_q)).sum() / count
        slope = log_q.exp_().sub_(p).div_(count)
        if self._bias is not None:
            self._bias += slope.sum(dim=0)
        return slope

    def gradients(self) -> list[torch.Tensor | None]:
        """With respect to features, weight and bias."""
        features = self._ours.features
        return [self._features.to(features.dtype), self._weight, self._bias] if self._learn else [None] * 3


def _chunks(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, start + size)
