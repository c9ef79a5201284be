"""Batches for a teacher and a student, which may each cut the same text in tokens of their own."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tokenizers import Encoding

    from compress.core.artifact import Feeds

    Tensors = dict[str, torch.Tensor]

_HELD_OUT = 0.05
_MOST_HELD_OUT = 16
"""Share, and at most how many, of the batches that nothing is learned from."""
_HELD_OUT_TOKENS = 4096
"""About how many tokens of long texts those hold at most."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The same items for both. `places` (B, T) has, for each of the student's tokens, the teacher's that
    is the same piece of the text, or -1; None where their tokens are the same. `labels` (B,) are classes.
    """

    student: Tensors
    teacher: Tensors
    places: torch.Tensor | None = None
    labels: torch.Tensor | None = None

    @property
    def mask(self) -> torch.Tensor:
        """Which of the student's tokens are not padding: (B, T)."""
        if "attention_mask" in self.student:
            return self.student["attention_mask"]
        first = next(iter(self.student.values()))
        return torch.ones(first.shape[:2], dtype=torch.int64, device=first.device)

    @property
    def inside(self) -> torch.Tensor | None:
        """Where the student has read what the teacher has not yet, and another token follows: bool (B, T)."""
        if self.places is None:
            return None
        mask = self.mask > 0
        follows = torch.zeros_like(mask)
        follows[:, :-1] = mask[:, 1:]
        return mask & follows & (self.places < 0)

    @property
    def device(self) -> torch.device:
        """Where its tensors are."""
        return next(iter(self.student.values())).device

    def rows(self, rows: slice) -> Batch:
        """Some of its items."""
        return Batch(
            student={name: value[rows] for name, value in self.student.items()},
            teacher={name: value[rows] for name, value in self.teacher.items()},
            places=None if self.places is None else self.places[rows],
            labels=None if self.labels is None else self.labels[rows],
        )

    def parts(self, tokens: int) -> Iterator[tuple[slice, float]]:
        """Items that together have so many tokens at most (one item at least), and their share of all the
        positions that are learned from.
        """
        kept = (self.mask > 0 if self.places is None else self.places >= 0).sum(dim=1)
        count, width = self.mask.shape
        size = max(1, tokens // width)
        for start in range(0, count, size):
            rows = slice(start, start + size)
            yield rows, float(kept[rows].sum() / kept.sum().clamp(min=1))

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        return Batch(
            student={name: value.to(device) for name, value in self.student.items()},
            teacher={name: value.to(device) for name, value in self.teacher.items()},
            places=None if self.places is None else self.places.to(device),
            labels=None if self.labels is None else self.labels.to(device),
        )


def batch_of(
    student: Feeds,
    teacher: Feeds | None = None,
    *,
    places: np.ndarray | None = None,
    labels: Sequence[int] | None = None,
) -> Batch:
    """A batch of arrays; without a `teacher` it gets the student's."""
    own = _tensors(student)
    return Batch(
        student=own,
        teacher=own if teacher is None else _tensors(teacher),
        places=None if places is None else torch.from_numpy(places),
        labels=None if labels is None else torch.tensor(list(labels), dtype=torch.int64),
    )


def _tensors(feeds: Feeds) -> Tensors:
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in feeds.items()}


def same_places(
    students: Sequence[Encoding], teachers: Sequence[Encoding], *, width: int, left: Mapping[str, int]
) -> np.ndarray:
    """`Batch.places` of encodings of the same texts, padded to `width`: int64 (B, width).

    `left` has the widths of both batches where they are padded at the left (`student`, `teacher`).
    """
    return aligned(students, teachers, _keys, width=width, left=left)


def aligned(
    students: Sequence[Encoding],
    teachers: Sequence[Encoding],
    keys: Callable[[Encoding], Mapping[object, int]],
    *,
    width: int,
    left: Mapping[str, int],
) -> np.ndarray:
    """`same_places` by other `keys`: of an encoding the tokens by what makes two the same."""
    places = np.full((len(students), width), -1, dtype=np.int64)
    for row, (own, other) in enumerate(zip(students, teachers, strict=True)):
        start = left["student"] - len(own) if "student" in left else 0
        shift = left["teacher"] - len(other) if "teacher" in left else 0
        known = keys(other)
        for key, at in keys(own).items():
            if key in known:
                places[row, start + at] = shift + known[key]
    return places


def _keys(encoding: Encoding) -> dict[object, int]:
    """What a token is the same as another's by: its stretch of text, or of special ones its name; and how
    often that was there before (the bytes of one character are tokens of the same stretch).
    """
    found: dict[object, int] = {}
    seen: Counter[tuple[object, ...]] = Counter()
    parts = zip(
        encoding.tokens, encoding.offsets, encoding.special_tokens_mask, encoding.sequence_ids, strict=True
    )
    for at, (token, span, special, sequence) in enumerate(parts):
        key = (token,) if special or span[0] == span[1] else (sequence, *span)
        seen[key] += 1
        found[(*key, seen[key])] = at
    return found


def by_length(lengths: Sequence[int], size: int, *, seed: int) -> list[list[int]]:
    """Numbers of items in batches of `size` whose lengths are alike, mixed as far as that allows.

    Items are drawn in an order by chance, cut into pools of 50 batches, and sorted within each.
    """
    order = np.random.default_rng(seed).permutation(len(lengths))
    batches = []
    for start in range(0, len(order), 50 * size):
        pool = sorted(order[start : start + 50 * size], key=lambda at: lengths[at])
        batches += [[int(at) for at in pool[first : first + size]] for first in range(0, len(pool), size)]
    return batches


def by_tokens(lengths: Sequence[int], tokens: int, *, seed: int) -> list[list[int]]:
    """Numbers of items in batches that hold about so many tokens each, padding among them, however long the
    items are: a step on four headings would teach as much as one on four paragraphs, and err more.

    Items are drawn in an order by chance, cut into pools of about 50 batches, and sorted within each.
    """
    order = np.random.default_rng(seed).permutation(len(lengths)).tolist()
    batches: list[list[int]] = []
    for pool in _parts(order, lengths, 50 * tokens):
        ordered = sorted(pool, key=lambda at: lengths[at], reverse=True)
        while ordered:
            size = max(1, tokens // max(lengths[ordered[0]], 1))
            batches.append(ordered[:size])
            ordered = ordered[size:]
    return batches


def _parts(order: Sequence[int], lengths: Sequence[int], tokens: int) -> Iterator[list[int]]:
    """`order` in parts of about so many tokens."""
    part: list[int] = []
    for at in order:
        part.append(at)
        if sum(lengths[one] for one in part) >= tokens:
            yield part
            part = []
    if part:
        yield part


def divided(batches: Sequence[Batch], *, long: bool) -> tuple[list[Batch], list[Batch]]:
    """What a training is judged by, some of each length, and what it learns from (nothing, where there are
    too few). Where texts are `long`, as those of language models, looks at them are too: then with so many
    tokens at most.
    """
    count = min(max(round(_HELD_OUT * len(batches)), 1), _MOST_HELD_OUT)
    if len(batches) <= count:
        return list(batches), []
    sizes = [int(one.mask.sum()) for one in batches]
    if long:
        count = min(count, max(1, _HELD_OUT_TOKENS * len(sizes) // sum(sizes)))
    apart = len(batches) // count
    order = sorted(range(len(batches)), key=lambda at: batches[at].mask.shape[1])
    held = order[apart // 2 :: apart][:count]
    return [batches[at] for at in held], [one for at, one in enumerate(batches) if at not in held]
