"""Byte-pair encoding: a word's characters are joined by merges, always the first in the list that fits.

Why keeping the merges that make a piece is enough: no merge is ever undone, so a piece of the final cut
was made by merges inside it alone, in the order in which the piece by itself would be made. With the
merges of all pieces of a text kept, in their order, the first that fits is the same at every step, as
others only went away. (Sennrich et al. 2016, 1508.07909.)
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Pair = tuple[str, str]


def pieces(model: Mapping[str, Any]) -> dict[str, int]:
    """The id of every piece."""
    return dict(model["vocab"])


def required(model: Mapping[str, Any]) -> set[int]:
    """Each single character (of byte-level tokenizers these are the bytes) and the unknown token. Where
    bytes stand in for characters that have no piece, they stay, and of the characters those that are no
    letters or that most scripts share.
    """
    vocabulary = pieces(model)
    bytes_stand_in = falls_back(model, vocabulary)
    kept = {number for byte in byte_pieces() if (number := vocabulary.get(byte)) is not None}
    for piece, number in vocabulary.items():
        character = _character(piece, model)
        if character and not (bytes_stand_in and character.isalpha() and ord(character) > 255):
            kept.add(number)
    unknown = vocabulary.get(str(model.get("unk_token")))
    return kept | ({unknown} if unknown is not None else set())


def falls_back(model: Mapping[str, Any], vocabulary: Mapping[str, int]) -> bool:
    """Whether any character can be spelled in bytes."""
    return bool(model.get("byte_fallback")) and all(piece in vocabulary for piece in byte_pieces())


def byte_pieces() -> list[str]:
    """The names of the 256 bytes, as sentencepiece writes them."""
    return [f"<0x{byte:02X}>" for byte in range(256)]


def _character(piece: str, model: Mapping[str, Any]) -> str | None:
    """The character of a piece of a single one, which may be marked as a word's inside or end."""
    bare = piece.removeprefix(model.get("continuing_subword_prefix") or "")
    ending = model.get("end_of_word_suffix") or ""
    bare = bare.removesuffix(ending) if len(bare) > len(ending) else bare
    return bare if len(bare) == 1 else None


def closed(model: Mapping[str, Any], kept: set[int]) -> set[int]:
    """`kept`, and all that a piece of it passes through while it is made."""
    vocabulary = pieces(model)
    ranks = {pair: rank for rank, pair in enumerate(_merges(model))}
    made = {
        number: set(making(piece, model, ranks)) for piece, number in vocabulary.items() if number in kept
    }
    return kept | {vocabulary[part] for parts in made.values() for part in parts if part in vocabulary}


def making(piece: str, model: Mapping[str, Any], ranks: Mapping[Pair, int]) -> list[str]:
    """All that `piece` passes through while merges make it; nothing where they make something else
    (it is then found whole, or never).
    """
    symbols = _symbols(piece, model)
    seen = list(symbols)
    while len(symbols) > 1:
        pairs = list(pairwise(symbols))
        place = min(range(len(pairs)), key=lambda at: (ranks.get(pairs[at], len(ranks)), at))
        if pairs[place] not in ranks:
            return []
        symbols[place : place + 2] = [_joined(pairs[place], model)]
        seen.append(symbols[place])
    return seen


def _symbols(piece: str, model: Mapping[str, Any]) -> list[str]:
    """The characters that a piece begins as. (A piece of a word's inside carries the prefix.)"""
    prefix, ending = model.get("continuing_subword_prefix") or "", model.get("end_of_word_suffix") or ""
    inside = bool(prefix) and piece.startswith(prefix)
    bare = piece.removeprefix(prefix) if inside else piece
    ends = bool(ending) and bare.endswith(ending) and len(bare) > len(ending)
    characters = list(bare.removesuffix(ending) if ends else bare)
    marked = [prefix + one if inside or at else one for at, one in enumerate(characters)]
    return [*marked[:-1], marked[-1] + ending] if ends else marked


def _joined(pair: Pair, model: Mapping[str, Any]) -> str:
    return pair[0] + pair[1].removeprefix(model.get("continuing_subword_prefix") or "")


def _merges(model: Mapping[str, Any]) -> Iterator[Pair]:
    """The merges, which are written as `"a b"` or, since tokenizers 0.20, as `["a", "b"]`."""
    for merge in model["merges"]:
        first, second = merge.split(" ") if isinstance(merge, str) else merge
        yield first, second


def parts(model: Mapping[str, Any]) -> dict[str, list[str]]:
    """By piece, the two that its first merge joins."""
    vocabulary = pieces(model)
    found: dict[str, list[str]] = {}
    for pair in _merges(model):
        piece = _joined(pair, model)
        if piece in vocabulary and all(part in vocabulary for part in pair):
            found.setdefault(piece, list(pair))
    return found


def cut(model: Mapping[str, Any], numbers: Mapping[int, int]) -> dict[str, Any]:
    """The model with the pieces in `numbers` and every merge among them."""
    kept = {piece: numbers[number] for piece, number in pieces(model).items() if number in numbers}
    merges = [
        merge
        for merge, pair in zip(model["merges"], _merges(model), strict=True)
        if pair[0] in kept and pair[1] in kept and _joined(pair, model) in kept
    ]
    return {**model, "vocab": kept, "merges": merges}
