"""The last matrix of a language model, taken off: what it is given is small, and what it gives is not.

Logits of 2,048 positions over 50,000 tokens are 400 MB; the hidden states that they are a product of, 5.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from compress.model.healing.chunked import Product

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from compress.model.healing.tokens import Shared

    Tensors = Mapping[str, torch.Tensor]

_SAME = 1e-4
"""Largest difference of products in another order, as a share of the largest logit."""


@dataclass(frozen=True, kw_only=True)
class Head:
    """The dense layer behind a model's body. `last`: it is given the last hidden states as they are."""

    linear: torch.nn.Linear
    last: bool

    @contextmanager
    def off(self) -> Iterator[None]:
        """Within, the model's logits are what its head is given: (B, T, D)."""
        linear: Any = self.linear
        linear.forward = lambda features: features
        try:
            yield
        finally:
            del linear.forward


def find_head(module: torch.nn.Module, feeds: Tensors) -> Head | None:
    """The head of a model whose logits are nothing but its product; None for any other: without one, or
    with what follows it, as Gemma 2 bounds its logits. (A scale that follows, as Cohere's, is one of what the
    head is given just as well.) The model runs twice on `feeds`.
    """
    linear: Any = module.get_output_embeddings() if hasattr(module, "get_output_embeddings") else None
    if type(linear) is not torch.nn.Linear:
        return None
    with torch.no_grad():
        logits, _ = _run(module, feeds)
        with Head(linear=linear, last=False).off():
            features, hidden = _run(module, feeds)
        if logits is None or features is None or features.shape[-1] != linear.in_features:
            return None
        if features.ndim != 3 or not _close(linear(features), logits):
            return None
    last = hidden is not None and hidden.shape == features.shape and torch.equal(hidden, features)
    return Head(linear=linear, last=last)


class Heads:
    """The heads of a student and its teacher, for the tokens that both have; None where all are the same."""

    def __init__(self, student: Head, teacher: Head, vocabulary: Shared | None) -> None:
        self.student, self.teacher = student, teacher
        self._ours: torch.Tensor | None = None
        self._into: torch.Tensor | None = None
        weight, bias = teacher.linear.weight.detach(), teacher.linear.bias
        self._weight, self._bias = weight, None if bias is None else bias.detach()
        if vocabulary is None:
            return
        whole = len(vocabulary.ours) == len(student.linear.weight)
        self._ours = None if whole else vocabulary.ours.to(weight.device)
        self._into = vocabulary.into.to(weight.device)
        self._weight = self._weight[vocabulary.teachers]
        self._bias = None if self._bias is None else self._bias[vocabulary.teachers]

    def products(self, ours: torch.Tensor, theirs: torch.Tensor) -> tuple[Product, Product]:
        """The logits of shared tokens (N, S), of features (N, D) of each; the teacher's of those, too, that
        the student spells.
        """
        weight, bias, shared = self.student.linear.weight, self.student.linear.bias, self._ours
        if shared is not None:
            weight, bias = weight[shared], None if bias is None else bias[shared]
        student = Product(features=ours, weight=weight, bias=bias)
        return student, Product(features=theirs, weight=self._weight, bias=self._bias, into=self._into)


def _run(module: torch.nn.Module, feeds: Tensors) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    result = module(**feeds, return_dict=True, output_hidden_states=True)
    states = result.get("hidden_states")
    return result.get("logits"), states[-1] if states else None


def _close(found: torch.Tensor, expected: torch.Tensor) -> bool:
    if found.shape != expected.shape:
        return False
    return bool((found - expected).abs().max() <= _SAME * expected.abs().max().clamp(min=1e-9))
