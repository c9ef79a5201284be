"""The divergence of two language models from what their heads are given, without the logits of all positions.

A chunk of positions at a time, logits, loss and gradient are computed and forgotten, as Hsu et al. 2024 do
(Liger Kernel, 2410.10989): the gradient of KL(p || q) with respect to the student's logits is q - p, so that
there is nothing to keep for the backward pass but the sums that it returns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import linear

from compress.model.healing.tokens import folded_logs

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOGITS = 1 << 23
"""Logits of each model that are in memory at once: 32 MiB in fp32."""


@dataclass(frozen=True, kw_only=True)
class Product:
    """Logits that were not computed: `weight` (V, D) and `bias` (V,) times `features` (N, D). The
    probabilities of the last R of them belong to others: those that `into` (R,) names.
    """

    features: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor | None
    into: torch.Tensor | None = None

    def logits(self, rows: slice, dtype: torch.dtype) -> torch.Tensor:
        """Of some positions, (n, V), multiplied in `dtype`, in fp32."""
        bias = None if self.bias is None else self.bias.to(dtype)
        return linear(self.features[rows].to(dtype), self.weight.to(dtype), bias).float()

    def to(self, dtype: torch.dtype) -> Product:
        """With a weight that no chunk has to convert."""
        return replace(self, weight=self.weight.to(dtype))

    def log_probabilities(self, rows: slice, dtype: torch.dtype) -> torch.Tensor:
        """Of some positions, (n, V - R)."""
        logits = self.logits(rows, dtype)
        logits.sub_(logits.logsumexp(-1, keepdim=True))
        if self.into is None or not len(self.into):
            return logits
        return folded_logs(logits.exp_(), self.into)


def chunked_divergence(
    ours: Product, theirs: Product, *, dtype: torch.dtype = torch.float32, chunk: int | None = None
) -> torch.Tensor:
    """The mean KL(theirs || ours) over N >= 1 positions, whose tokens are the same ones in both.

    `dtype` is what products are computed in; `chunk` positions are in memory at once (None: as many as
    `_LOGITS` allows). Gradients go to our features, weight and bias.
    """
    rows = chunk or max(16, _LOGITS // len(ours.weight))
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
        sums = _Sums(ours, learn=any(ctx.needs_input_grad), dtype=dtype)
        for rows in _chunks(len(features), chunk):
            sums.add(rows, ours.log_probabilities(rows, dtype), theirs.log_probabilities(rows, dtype))
        ctx.gradients = sums.gradients()
        return sums.loss

    @staticmethod
    def backward(ctx: Any, *outer: torch.Tensor) -> Any:
        found = [None if one is None else one.mul_(outer[0]) for one in ctx.gradients]
        ctx.gradients = None
        return (*found, None, None, None)


class _Sums:
    """The mean loss over N positions and its gradients, chunk after chunk."""

    def __init__(self, ours: Product, *, learn: bool, dtype: torch.dtype) -> None:
        self.loss = ours.features.new_zeros((), dtype=torch.float32)
        self._ours, self._dtype, self._learn = ours, dtype, learn
        if learn:
            self._features = torch.empty_like(ours.features)
            self._weight = torch.zeros_like(ours.weight, dtype=torch.float32)
            self._bias = None if ours.bias is None else torch.zeros_like(ours.bias)

    def add(self, rows: slice, ours: torch.Tensor, theirs: torch.Tensor) -> None:
        """Add the positions `rows`, of log q and log p (n, V) that are overwritten."""
        count = len(self._ours.features)
        p = theirs.exp()
        self.loss += torch.linalg.vecdot(p, theirs.sub_(ours)).sum() / count
        if self._learn:
            self._learned(rows, ours.exp_().sub_(p).div_(count))

    def _learned(self, rows: slice, slope: torch.Tensor) -> None:
        if self._bias is not None:
            self._bias += slope.sum(dim=0)
        slope = slope.to(self._dtype)
        features = self._ours.features[rows].to(self._dtype)
        self._features[rows] = slope @ self._ours.weight
        self._weight += slope.T @ features

    def gradients(self) -> list[torch.Tensor | None]:
        """With respect to features, weight and bias."""
        return [self._features, self._weight, self._bias] if self._learn else [None] * 3


def _chunks(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, start + size)
