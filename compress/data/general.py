"""Whether text is enough, and varied enough, to heal a language model or an embedder on; and general text
that is mixed in where it is not: half of the articles of the sample that ships. The other half stays unseen,
to show what became of text of other kinds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from compress.data.items import ANSWERS, load_items
from compress.data.sample import sample_passages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Row = Mapping[str, Any]

ENOUGH_WORDS = 200_000
"""Words below which twelve minutes of healing go over the same text many times."""
BROAD = 0.15
"""Share of general text's words that the user's text may lack, above which it is narrow."""


@dataclass(frozen=True, kw_only=True)
class Breadth:
    """How much text rows hold, and of how many subjects."""

    rows: int
    words: int
    unknown: float
    """The share of the shipped sample's running words that the rows do not hold."""

    @property
    def faults(self) -> list[str]:
        """Why the text is not enough to heal on; empty: it is."""
        faults = []
        if self.words < ENOUGH_WORDS:
            faults.append(f"{self.words:,} words are few ({ENOUGH_WORDS:,} or more heal well)")
        if self.unknown > BROAD:
            faults.append(f"{self.unknown:.0%} of the words of general text are not among them")
        return faults


def breadth(rows: Sequence[Row]) -> Breadth:
    """Count the words of rows, and those of the shipped sample that they lack."""
    words = [word for row in rows for word in _words(row)]
    known = set(words)
    sample = [word for _, text in sample_passages() for word in _words({"text": text})]
    missing = sum(word not in known for word in sample)
    return Breadth(rows=len(rows), words=len(words), unknown=missing / max(len(sample), 1))


def general_rows(rows: Sequence[Row], *, task: str) -> list[Row]:
    """Return general text in the columns of `rows`: passages of every second article of the sample.

    Args:
        rows: What the user's data gives to learn from.
        task: The model's task.

    Returns:
        Rows without answers; none where those of the sample have other columns than `rows`.
    """
    titles = list(dict.fromkeys(title for title, _ in sample_passages()))
    learned = set(titles[::2])
    sample = load_items(None, task=task).rows
    pairs = zip(sample_passages(), sample, strict=True)
    chosen = [row for (title, _), row in pairs if title in learned]
    columns = {frozenset(set(row) - set(ANSWERS)) for row in rows}
    return chosen if columns == {frozenset(chosen[0])} else []


def _words(row: Row) -> list[str]:
    values = [value for name, value in row.items() if name not in ANSWERS]
    texts = [
        " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value) for value in values
    ]
    return re.findall(r"\w+", " ".join(texts).casefold())
