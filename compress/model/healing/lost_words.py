"""Text with words that a student spells, since the text at hand has none of them.

A vocabulary that was cut to what a text needs lacks no token of that text. So that spelling is learned, words
of copies of some texts give way to tokens that the student lacks, drawn by how probable they are in text like
it (`compress.model.vocabulary.expected`). The teacher reads the same text and says what follows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tokenizers import Encoding, Tokenizer

_SPACES = ("\u0120", "\u2581")
"""What byte-level tokenizers and sentencepiece write for the space before a word."""


@dataclass(frozen=True)
class Pool:
    """Texts of tokens, and how often (of 1) each of them is drawn."""

    texts: Sequence[str]
    shares: np.ndarray

    def draw(self, random: np.random.Generator) -> str:
        """One of them."""
        return self.texts[int(random.choice(len(self.texts), p=self.shares))]


def pools(tokenizer: Tokenizer, probabilities: Mapping[int, float]) -> dict[bool, Pool]:
    """The tokens in `probabilities` that are text by themselves: those that begin a word (True), and others.
    A kind of which there are none is not there.
    """
    found: dict[bool, list[tuple[str, float]]] = {True: [], False: []}
    for number, probability in probabilities.items():
        piece, text = tokenizer.id_to_token(number) or "", tokenizer.decode([number]).strip()
        if text and "\ufffd" not in text and probability > 0:
            found[piece.startswith(_SPACES)].append((text, probability))
    return {begins: _pool(entries) for begins, entries in found.items() if entries}


def _pool(entries: Sequence[tuple[str, float]]) -> Pool:
    shares = np.array([share for _, share in entries])
    return Pool([text for text, _ in entries], shares / shares.sum())


def replaced(
    text: str, encoding: Encoding, choices: Mapping[bool, Pool], *, share: float, random: np.random.Generator
) -> str:
    """`text`, of whose tokens (as the teacher's `encoding` has them) a `share` were replaced."""
    parts, done = [], 0
    for start, end in encoding.offsets:
        while start < end and text[start].isspace():
            start += 1
        begins = start > 0 and text[start - 1].isspace()
        if start < done or not text[start:end].isalpha() or begins not in choices:
            continue
        if random.random() < share:
            parts += [text[done:start], choices[begins].draw(random)]
            done = end
    return "".join([*parts, text[done:]])
