"""Long texts in pieces that a batch takes whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer


def chunks(text: str, tokenizer: Tokenizer) -> list[str]:
    """The pieces of a text that the tokenizer, which cuts at so many tokens, cuts it into. A last piece of
    under a quarter of the first's length is left out: it would say little.
    """
    first = tokenizer.encode(text)
    if not first.overflowing:
        return [text]
    pieces = [piece for one in (first, *first.overflowing) if (piece := _stretch(text, one))]
    return [piece for piece in pieces if 4 * len(piece) >= len(pieces[0])]


def _stretch(text: str, encoding: Encoding) -> str:
    spans = [span for span in encoding.offsets if span[0] < span[1]]
    return text[spans[0][0] : spans[-1][1]].strip() if spans else ""
