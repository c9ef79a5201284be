"""From the JSON that a client sends to rows of data: only what the task takes, and never a path."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from compress.serve.limits import Limits

_TEXT_KEYS: dict[str, frozenset[str]] = {
    "question-answering": frozenset({"question", "context"}),
    "token-classification": frozenset({"text"}),
}
_PAIRS = frozenset({"text", "text_pair"})
_PART_ITEMS = 8
_PART_CHARACTERS = 16_384
"""Of a part: as many texts of 512 tokens as _PART_ITEMS, or one longer."""


def rows_of(inputs: Any, *, task: str, modality: str, limits: Limits) -> list[dict[str, Any]]:
    """One row for each of `inputs`, which is an item or a list of items.

    Raises:
        CompressError: an item is not what the task takes (`input-invalid`), or there are too many.
    """
    items = inputs if isinstance(inputs, list) else [inputs]
    if not 0 < len(items) <= limits.items:
        raise _invalid(f"{len(items)} items, expected 1 to {limits.items}")
    if modality != "text":
        return [_media(item, modality) for item in items]
    rows = [_text(item, task, limits) for item in items]
    if sum(map(_characters, rows)) > limits.characters:
        raise _invalid(f"the items have more than {limits.characters} characters together")
    return rows


def parts_of(rows: Sequence[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """Divide a request's rows into runs of bounded work, in their order."""
    part: list[Mapping[str, Any]] = []
    for row in rows:
        is_full = len(part) == _PART_ITEMS or sum(map(_characters, [*part, row])) > _PART_CHARACTERS
        if part and is_full:
            yield part
            part = []
        part.append(row)
    yield part


def _characters(row: Mapping[str, Any]) -> int:
    return sum(len(value) for value in row.values() if isinstance(value, str))


def _text(item: Any, task: str, limits: Limits) -> dict[str, Any]:
    keys = _TEXT_KEYS.get(task, _PAIRS)
    row = {"text": item} if isinstance(item, str) and "text" in keys else item
    if not isinstance(row, Mapping) or not row.keys() <= keys or not _needed(keys) <= row.keys():
        raise _invalid(f"an item is no text and no object with {', '.join(sorted(keys))}")
    if not all(isinstance(value, str) for value in row.values()):
        raise _invalid("an item's texts must be strings")
    if _characters(row) > limits.item_characters:
        raise _invalid(f"an item is longer than {limits.item_characters} characters")
    for value in row.values():
        refuse_surrogates(value)
    return dict(row)


def _needed(keys: frozenset[str]) -> frozenset[str]:
    return keys - {"text_pair"}


def refuse_surrogates(text: str) -> None:
    """Refuse a text that no tokenizer takes.

    Raises:
        CompressError: it holds half of a surrogate pair.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _invalid("a text holds half of a surrogate pair") from None


def _media(item: Any, modality: str) -> dict[str, Any]:
    """A picture's or sound's file as base64. (A string is never taken for a path or an address.)"""
    value = item.get(modality) if isinstance(item, Mapping) and set(item) == {modality} else item
    if not isinstance(value, str):
        raise _invalid(f"an item is no base64 text of {modality} data")
    try:
        return {modality: base64.b64decode(value, validate=True)}
    except (binascii.Error, ValueError):
        raise _invalid(f"an item is not valid base64 of {modality} data") from None


def _invalid(message: str) -> CompressError:
    return CompressError("input-invalid", message, hint="see /docs")
