"""A student whose vocabulary was cut learns from a teacher that has the whole one.

Where both have read the same text, what the teacher would say next is compared: the probability of a token
that the student lacks belongs to the piece that the student begins the same text with (as its tokenizer would
say it). Inside of such a text the teacher has no say, but the next piece is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from compress.model.healing.batches import aligned

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from tokenizers import Encoding, Tokenizer

_LEAST = 1e-30
"""The smallest probability whose logarithm is taken."""


@dataclass(frozen=True)
class Shared:
    """Two vocabularies. `ours` and `theirs` (S,) are the ids of the tokens that both have; `lost` (R,) the
    teacher's that the student spells, `into` (R,) where in `ours` the first piece of each is.
    """

    ours: torch.Tensor
    theirs: torch.Tensor
    lost: torch.Tensor
    into: torch.Tensor

    @property
    def teachers(self) -> torch.Tensor:
        """The teacher's tokens that count, (S + R,)."""
        return torch.cat([self.theirs, self.lost])


def shared(vocabulary: torch.Tensor, firsts: torch.Tensor | None = None) -> Shared:
    """Of `vocabulary` (V,), the teacher's token that each of the student's is (-1: none), and of `firsts`
    (W,), the student's piece that each of the teacher's begins with (-1: none; None: of all of them).
    """
    ours = (vocabulary >= 0).nonzero().squeeze(1)
    theirs = vocabulary[ours]
    places = torch.full((len(vocabulary),), -1, dtype=torch.int64)
    places[ours] = torch.arange(len(ours))
    if firsts is None:
        return Shared(ours, theirs, theirs[:0], theirs[:0])
    begun = firsts.clone()
    begun[theirs] = -1
    lost = (begun >= 0).nonzero().squeeze(1)
    lost = lost[places[begun[lost]] >= 0]
    return Shared(ours, theirs, lost, places[begun[lost]])


def folded(probabilities: torch.Tensor, into: torch.Tensor) -> torch.Tensor:
    """Of (N, S + R) the first S, with each of the others added to the one of them that `into` (R,) names."""
    if not len(into):
        return probabilities
    size = probabilities.shape[1] - len(into)
    kept, others = probabilities[:, :size].contiguous(), probabilities[:, size:]
    return kept.scatter_add_(1, into.to(kept.device).expand(len(kept), -1), others)


def folded_logs(probabilities: torch.Tensor, into: torch.Tensor) -> torch.Tensor:
    """The logarithms of `folded`; memory of `probabilities` may be used for them."""
    return folded(probabilities, into).clamp_(min=_LEAST).log_()


def first_pieces(own: Tokenizer, other: Tokenizer) -> torch.Tensor:
    """For each token of `other` the first piece that `own` reads it as, int64 (W,); -1 where it was added to
    the vocabulary, or is a word's inside that a piece by itself does not spell (WordPiece's `##`).
    """
    from tokenizers.models import BPE, Unigram

    numbers = other.get_vocab(with_added_tokens=True)
    found = torch.full((max(numbers.values()) + 1,), -1, dtype=torch.int64)
    if not isinstance(own.model, BPE | Unigram):
        return found
    known = own.get_vocab()
    for piece in other.get_vocab(with_added_tokens=False):
        parts = [] if piece in known else own.model.tokenize(piece)
        found[numbers[piece]] = known.get(piece, parts[0].id if parts else -1)
    return found


def same_readings(
    students: Sequence[Encoding], teachers: Sequence[Encoding], *, width: int, left: Mapping[str, int]
) -> np.ndarray:
    """For each of the student's tokens the teacher's by which the same text has been read, or -1: int64 (B,
    width). `left` is that of `compress.model.healing.batches.same_places`.
    """
    return aligned(students, teachers, _last_at_ends, width=width, left=left)


def _last_at_ends(encoding: Encoding) -> dict[object, int]:
    """The last token that ends at each place of the text (bytes of one character all end behind it), and
    special ones by their name and how many of them there were.
    """
    found: dict[object, int] = {}
    specials = 0
    for at, (token, (_, end), special) in enumerate(
        zip(encoding.tokens, encoding.offsets, encoding.special_tokens_mask, strict=True)
    ):
        specials += special
        found[("special", token, specials) if special else ("text", end)] = at
    return found
