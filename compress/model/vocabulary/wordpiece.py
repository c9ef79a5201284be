"""WordPiece: a word is read from its start, always by the longest piece that fits.

Text whose pieces are all kept is cut as before: what was the longest piece that fits still is, since
others only went away. (Wu et al. 2016, 1609.08144; greedy matching as in Song et al. 2021, 2012.15524.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Container, Mapping


def pieces(model: Mapping[str, Any]) -> dict[str, int]:
    """The id of every piece."""
    return dict(model["vocab"])


def required(model: Mapping[str, Any]) -> set[int]:
    """Each single character, at a word's start and inside, and what stands for the unknown."""
    prefix = str(model["continuing_subword_prefix"])
    single = {number for piece, number in pieces(model).items() if len(piece.removeprefix(prefix)) == 1}
    unknown = pieces(model).get(str(model["unk_token"]))
    return single | ({unknown} if unknown is not None else set())


def closed(model: Mapping[str, Any], kept: set[int]) -> set[int]:
    """`kept`, and each piece that smaller ones cannot spell (where a character has no piece of its own).

    Short ones come first: what spells a piece is shorter than it.
    """
    prefix, vocabulary = str(model["continuing_subword_prefix"]), pieces(model)
    staying = {piece for piece, number in vocabulary.items() if number in kept}
    for piece in sorted(vocabulary, key=lambda piece: len(piece.removeprefix(prefix))):
        if spelled(piece, staying, prefix) is None:
            staying.add(piece)
    return kept | {vocabulary[piece] for piece in staying}


def parts(model: Mapping[str, Any]) -> dict[str, list[str]]:
    """By piece, the longest smaller ones that spell it."""
    prefix, vocabulary = str(model["continuing_subword_prefix"]), pieces(model)
    staying = set(vocabulary)
    found = {}
    for piece in vocabulary:
        staying.discard(piece)
        spelling = spelled(piece, staying, prefix)
        staying.add(piece)
        if spelling:
            found[piece] = spelling
    return found


def spelled(word: str, vocabulary: Container[str], prefix: str) -> list[str] | None:
    """A word (or, beginning with `prefix`, the rest of one) in the longest pieces that fit; None where
    at some place none does.
    """
    inside = word.startswith(prefix) and len(word) > len(prefix)
    text = word.removeprefix(prefix) if inside else word
    found: list[str] = []
    start = 0
    while start < len(text):
        before = prefix if inside or start else ""
        ends = range(len(text), start, -1)
        end = next((end for end in ends if before + text[start:end] in vocabulary), None)
        if end is None:
            return None
        found.append(before + text[start:end])
        start = end
    return found


def cut(model: Mapping[str, Any], numbers: Mapping[int, int]) -> dict[str, Any]:
    """The model with the pieces in `numbers` alone."""
    kept = {piece: numbers[number] for piece, number in pieces(model).items() if number in numbers}
    return {**model, "vocab": kept}
