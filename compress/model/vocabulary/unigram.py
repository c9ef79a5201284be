"""Unigram: of all ways to cut a text, the one whose pieces have the highest sum of scores.

Text whose pieces are all kept is cut as before: the best way is still there, and others only went away.
A character without a piece costs 10 more than the worst piece, so that one stays and with it that cost:
else the unknown might become cheaper than what was known. (Kudo 2018, 1804.10959.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compress.model.vocabulary.bpe import byte_pieces, falls_back

if TYPE_CHECKING:
    from collections.abc import Mapping


def pieces(model: Mapping[str, Any]) -> dict[str, int]:
    """The id of every piece: its place in the list."""
    return {piece: number for number, (piece, _) in enumerate(model["vocab"])}


def required(model: Mapping[str, Any]) -> set[int]:
    """Each single character (where bytes stand in for those without a piece: the bytes, and of the
    characters those that are no letters or that most scripts share), the unknown and the worst piece.
    """
    vocabulary = pieces(model)
    bytes_stand_in = falls_back(model, vocabulary)
    kept = {number for byte in byte_pieces() if (number := vocabulary.get(byte)) is not None}
    for piece, number in vocabulary.items():
        shared = not (piece.isalpha() and len(piece) == 1 and ord(piece) > 255)
        if len(piece) == 1 and (shared or not bytes_stand_in):
            kept.add(number)
    scores = [score for _, score in model["vocab"]]
    unknown = {int(model["unk_id"])} if model.get("unk_id") is not None else set()
    return kept | unknown | {scores.index(min(scores))}


def closed(model: Mapping[str, Any], kept: set[int]) -> set[int]:
    """`kept`: no piece needs another."""
    del model
    return set(kept)


def parts(model: Mapping[str, Any]) -> dict[str, list[str]]:
    """By piece, the smaller ones of the highest sum of scores that spell it."""
    scores = dict(model["vocab"])
    found = {piece: _best_parts(piece, scores) for piece in scores if len(piece) > 1}
    return {piece: spelling for piece, spelling in found.items() if spelling}


def _best_parts(text: str, scores: Mapping[str, float]) -> list[str]:
    """Viterbi's: the best spelling up to each place, from those up to the places before."""
    best: list[tuple[float, list[str]] | None] = [(0.0, [])]
    for end in range(1, len(text) + 1):
        options = []
        for start in range(end):
            before, part = best[start], text[start:end]
            if before is not None and part in scores and part != text:
                options.append((before[0] + scores[part], [*before[1], part]))
        best.append(max(options) if options else None)
    return best[-1][1] if best[-1] else []


def cut(model: Mapping[str, Any], numbers: Mapping[int, int]) -> dict[str, Any]:
    """The model with the pieces in `numbers` alone, in their order."""
    kept = sorted(
        (numbers[number], entry) for number, entry in enumerate(model["vocab"]) if number in numbers
    )
    unknown = model.get("unk_id")
    return {
        **model,
        "vocab": [entry for _, entry in kept],
        "unk_id": None if unknown is None else numbers[unknown],
    }
