"""Which tokens are of a script, as Unicode names its letters."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError
from compress.model.vocabulary.tokenizer import all_pieces

if TYPE_CHECKING:
    from collections.abc import Mapping


def of_script(document: Mapping[str, Any], script: str) -> set[int]:
    """The ids of all tokens without a letter of another script: digits and signs are of every script.

    Raises:
        CompressError: no token has a letter of it.
    """
    name = script.strip().upper()
    texts = {number: _text(piece, document) for piece, number in all_pieces(document).items()}
    letters = {number: [one for one in text if one.isalpha()] for number, text in texts.items() if text}
    if not any(_is(letter, name) for found in letters.values() for letter in found):
        message = f"no token has a letter of the script '{script}'"
        raise CompressError("script-unknown", message, hint="latin, cyrillic, greek, arabic, hangul, cjk ...")
    return {number for number, found in letters.items() if all(_is(letter, name) for letter in found)}


def _is(letter: str, script: str) -> bool:
    return unicodedata.name(letter, "").startswith(script)


def _text(piece: str, document: Mapping[str, Any]) -> str | None:
    """What a piece stands for; None for bytes that are no whole characters."""
    if not _byte_level(document.get("pre_tokenizer")):
        return piece
    try:
        return bytes(_BYTES[symbol] for symbol in piece).decode("utf8")
    except (KeyError, UnicodeDecodeError):
        return None


def _byte_level(step: Mapping[str, Any] | None) -> bool:
    if not step:
        return False
    return step.get("type") == "ByteLevel" or any(_byte_level(one) for one in step.get("pretokenizers") or ())


def _byte_symbols() -> dict[str, int]:
    """GPT-2's signs for bytes: printable ones stand for themselves, others for signs from 256 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return {chr(byte): byte for byte in printable} | {chr(256 + at): byte for at, byte in enumerate(others)}


_BYTES = _byte_symbols()
