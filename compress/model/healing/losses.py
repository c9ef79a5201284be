"""How far a student's answers are from its teacher's.

Of embeddings their direction and the similarities among them (as in Reimers and Gurevych 2020,
2004.09813, and Park et al. 2019, 1904.05068, relational distillation); of decisions the divergence from
the teacher's probabilities (Hinton et al. 2015, 1503.02531, equation 4); of both the last hidden states,
where answers have them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import cosine_similarity, cross_entropy, linear, log_softmax, mse_loss, normalize

from compress.model.healing.answers import gathered
from compress.model.healing.chunked import chunked_divergence
from compress.model.healing.tokens import folded_logs

if TYPE_CHECKING:
    from collections.abc import Callable

    from compress.model.healing.answers import Answer
    from compress.model.healing.batches import Batch
    from compress.model.healing.head import Heads
    from compress.model.healing.tokens import Shared

DIRECTION = 10.0
"""Weight of 1 - cosine of embeddings."""
SIMILARITY = 20.0
"""Weight of the mean squared difference of the similarities within a batch."""
HIDDEN = 0.2
"""Weight of the squared difference of hidden states, as a share of their mean square."""
TEMPERATURE = 2.0
"""Of a classifier's probabilities: softer ones say more of the classes that are not chosen. Language
models, whose vocabulary says enough, are compared at 1."""
LABELS = 0.5
"""Weight of the cross entropy with labels, where rows have them."""
_ROWS = 512
"""Positions whose probabilities over a vocabulary are in memory at once."""


@dataclass(frozen=True)
class Losses:
    """The whole loss of a batch. `vocabulary` has the tokens of both, where they differ. `heads` make
    logits where answers have features. Of `causal` models the next piece is known where the teacher, which
    reads longer ones, has no say.
    """

    vocabulary: Shared | None = None
    heads: Heads | None = None
    dtype: torch.dtype = torch.float32
    """What the products of heads are computed in."""
    causal: bool = False

    def of(self, student: Answer, teacher: Answer, batch: Batch) -> torch.Tensor:
        """A number, to be made smaller."""
        parts = [self._hidden(student, teacher, batch)]
        if student.pooled is not None and teacher.pooled is not None:
            parts.append(embedding_loss(student.pooled, teacher.pooled))
        for name in student.logits.keys() & teacher.logits.keys():
            parts.append(self._decisions(student, teacher, batch, name))
        if student.features is not None and teacher.features is not None:
            parts.append(self._products(student.features, teacher.features, batch))
        if batch.labels is not None and "logits" in student.logits:
            parts.append(LABELS * cross_entropy(student.logits["logits"], batch.labels))
        return torch.stack(parts).sum()

    def _hidden(self, student: Answer, teacher: Answer, batch: Batch) -> torch.Tensor:
        ours, theirs = student.hidden, teacher.hidden
        if ours is None or theirs is None or ours.shape[-1] != theirs.shape[-1]:
            return torch.zeros((), device=batch.device)
        if ours.ndim != 3:
            return HIDDEN * relative_error(ours, theirs, None)
        mask = student.mask
        if batch.places is not None:
            theirs, mask = gathered(theirs, batch.places), (batch.places >= 0).to(ours.dtype)
        return HIDDEN * relative_error(ours, theirs, mask)

    def _decisions(self, student: Answer, teacher: Answer, batch: Batch, name: str) -> torch.Tensor:
        ours, theirs = student.logits[name], teacher.logits[name]
        if ours.ndim == 2 and name == "logits":
            return item_loss(ours, theirs)
        if batch.places is not None and ours.ndim == 2:  # places of answers among other tokens
            return torch.zeros((), device=batch.device)
        if ours.ndim == 2:  # (B, T): a decision among positions
            return divergence(_masked(ours, batch.mask), _masked(theirs, batch.mask), temperature=1.0)
        loss = position_loss(*_positions(ours, theirs, batch), self.vocabulary)
        return loss + self._spelled(batch, lambda inside: ours[inside])

    def _products(self, ours: torch.Tensor, theirs: torch.Tensor, batch: Batch) -> torch.Tensor:
        """The divergence of what heads make of features (B, T, D)."""
        assert self.heads is not None
        aligned, theirs = _positions(ours, theirs, batch)
        if not len(aligned):
            return ours.sum() * 0
        student, teacher = self.heads.products(aligned, theirs)
        loss = chunked_divergence(student, teacher, dtype=self.dtype)
        return loss + self._spelled(batch, lambda inside: self._logits(ours[inside]))

    def _logits(self, features: torch.Tensor) -> torch.Tensor:
        """Of the student's head, (N, V)."""
        assert self.heads is not None
        head = self.heads.student.linear
        bias = None if head.bias is None else head.bias.to(self.dtype)
        return linear(features.to(self.dtype), head.weight.to(self.dtype), bias).float()

    def _spelled(self, batch: Batch, logits: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """The cross entropy of the pieces inside of what the teacher reads at once, over the number of
        positions that it does have a say at.
        """
        inside = batch.inside if self.causal else None
        if inside is None or not inside.any():
            return torch.zeros((), device=batch.device)
        following = batch.student["input_ids"].roll(-1, dims=1)
        assert batch.places is not None
        total = cross_entropy(logits(inside), following[inside], reduction="sum")
        return total / (batch.places >= 0).sum().clamp(min=1)


def _positions(ours: torch.Tensor, theirs: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Of values (B, T, ..) of both those at the positions that are the same piece of text: (N, ..)."""
    kept = batch.mask > 0 if batch.places is None else batch.places >= 0
    if batch.places is not None:
        theirs = gathered(theirs, batch.places)
    if kept.shape != ours.shape[:2]:  # frames of sound
        kept = torch.ones(ours.shape[:2], dtype=torch.bool, device=ours.device)
    return ours[kept], theirs[kept]


def embedding_loss(ours: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    """Of embeddings (B, D); the widths may differ, then similarities alone count."""
    first, second = normalize(ours, dim=-1), normalize(theirs, dim=-1)
    loss = SIMILARITY * mse_loss(first @ first.T, second @ second.T)
    if ours.shape == theirs.shape:
        loss = loss + DIRECTION * (1 - cosine_similarity(ours, theirs, dim=-1)).mean()
    return loss


def relative_error(ours: torch.Tensor, theirs: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """The squared difference over the teacher's mean square; of (B, T, D) where `mask` (B, T) is 1."""
    if mask is None:
        return mse_loss(ours, theirs) / theirs.square().mean().clamp(min=1e-9)
    weights = mask[..., None]
    error = ((ours - theirs).square() * weights).sum()
    return error / (theirs.square() * weights).sum().clamp(min=1e-9)


def item_loss(ours: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    """Of logits (B, C); a single score is compared by its square."""
    if ours.shape[-1] == 1:
        return mse_loss(ours, theirs)
    return divergence(ours, theirs, temperature=TEMPERATURE)


def divergence(ours: torch.Tensor, theirs: torch.Tensor, *, temperature: float) -> torch.Tensor:
    """The mean KL(teacher || student) over rows of logits, times temperature squared (Hinton et al.)."""
    p, q = (log_softmax(one / temperature, dim=-1) for one in (theirs, ours))
    return (p.exp() * (p - q)).sum(dim=-1).mean() * temperature**2


def position_loss(ours: torch.Tensor, theirs: torch.Tensor, vocabulary: Shared | None) -> torch.Tensor:
    """The mean divergence of logits (N, V) at N positions; of other vocabularies among shared tokens, the
    lost ones counted as their first pieces.
    """
    if not len(ours):
        return ours.sum() * 0
    total = torch.zeros((), device=ours.device)
    for start in range(0, len(ours), _ROWS):
        first, second = ours[start : start + _ROWS], theirs[start : start + _ROWS]
        if vocabulary is not None:
            first = first[:, vocabulary.ours]
            second = folded_logs(second[:, vocabulary.teachers].softmax(dim=-1), vocabulary.into)
        total = total + divergence(first, second, temperature=1.0) * len(first)
    return total / len(ours)


def _masked(logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return logits.masked_fill(mask == 0, torch.finfo(logits.dtype).min)
