"""Which tokens text like the data will need: those that it has, and those that it may well have.

A token's loss costs what its probability is times how badly the pieces that it is then read as stand in for
it. Tokens that the data does not have are as probable as others of their script and rank that it has once
(`compress.numerics.unseen`): vocabularies are ordered by how frequent tokens were where they were made.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from compress.model.vocabulary.kind import kind_of
from compress.model.vocabulary.tokenizer import all_pieces
from compress.numerics.unseen import probabilities, spared

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Document = Mapping[str, Any]

_RANKS = 10
"""Parts of a vocabulary whose tokens count as equally frequent."""


def needed(document: Document, counts: Mapping[int, int], table: np.ndarray, *, lost: float) -> set[int]:
    """The ids of tokens of which text like the data lacks an expected share of `lost` at most.

    `counts` are how often the data has each token, `table` float32 (V, D) the embedding.
    """
    return _kept(document, counts, _distances(document, table), lost)


def lacked(document: Document, parts: Sequence[Counter[int]], table: np.ndarray, *, lost: float) -> float:
    """The share of its tokens that a part of the data would lack, if the others had said what is needed: the
    mean over at least two parts. Words come in bursts (a name is a stranger to all texts but its own, and
    frequent there), so that it is more than `lost`, which takes words as drawn one by one.
    """
    distances, counts = _distances(document, table), sum(parts, Counter())
    shares = []
    for part in parts:
        kept = _kept(document, counts - part, distances, lost)
        missed = sum(count for number, count in part.items() if number not in kept)
        shares.append(missed / max(part.total(), 1))
    return float(np.mean(shares))


def _kept(document: Document, counts: Mapping[int, int], distances: np.ndarray, lost: float) -> set[int]:
    numbers, probability = likely(document, counts)
    gone = spared(probability, probability * distances[numbers], lost)
    return set(numbers[~gone].tolist())


def likely(document: Document, counts: Mapping[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The ids of all tokens, int64 (V,), and how probable each is in text like the data, float64 (V,)."""
    pieces = all_pieces(document)
    numbers = np.array(sorted(pieces.values()))
    seen = np.array([counts.get(number, 0) for number in numbers.tolist()])
    return numbers, probabilities(seen, _groups(pieces, numbers))


def _groups(pieces: Mapping[str, int], numbers: np.ndarray) -> np.ndarray:
    """A number for each script and part of the vocabulary, int64 (V,)."""
    scripts = {number: _script(piece) for piece, number in pieces.items()}
    known = {name: at for at, name in enumerate(sorted(set(scripts.values())))}
    script = np.array([known[scripts[number]] for number in numbers.tolist()])
    return np.asarray(script * _RANKS + np.arange(len(numbers)) * _RANKS // len(numbers))


def _script(piece: str) -> str:
    """What Unicode's name of a piece's first letter begins with; empty where it has none."""
    letter = next((one for one in piece if one.isalpha()), "")
    return unicodedata.name(letter, "").partition(" ")[0] if letter else ""


def _distances(document: Document, table: np.ndarray) -> np.ndarray:
    """Of each row of the table the squared distance from the mean of the pieces that its token is read as
    without itself, float64 (V,); where none are, as far as the farthest.
    """
    model = document["model"]
    kind = kind_of(model)
    vocabulary = kind.pieces(model)
    found = np.full(len(table), np.nan)
    for piece, parts in kind.parts(model).items():
        rows = table[[vocabulary[part] for part in parts]].astype(np.float64)
        number = vocabulary[piece]
        found[number] = np.square(table[number] - rows.mean(axis=0)).sum()
    return np.where(np.isnan(found), np.nanmax(found, initial=0.0), found)
