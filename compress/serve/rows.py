"""From the JSON that a client sends to rows of data: only what the task takes, and never a path."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from compress.core.errors import CompressError


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one request may ask for, and how many may wait."""

    items: int = 256
    characters: int = 100_000
    """Of one item's texts together; models cut them at some hundred tokens anyway."""
    body_bytes: int = 16 * 2**20
    workers: int = 2
    """Requests that are computed at once."""
    waiting: int = 256
    """Requests that may wait for their turn; more are told to come again."""


_TEXT_KEYS: dict[str, frozenset[str]] = {
    "question-answering": frozenset({"question", "context"}),
    "token-classification": frozenset({"text"}),
}
_PAIRS = frozenset({"text", "text_pair"})


def rows_of(inputs: Any, *, task: str, modality: str, limits: Limits) -> list[dict[str, Any]]:
    """One row for each of `inputs`, which is an item or a list of items.

    Raises:
        CompressError: an item is not what the task takes (`input-invalid`), or there are too many.
    """
    items = inputs if isinstance(inputs, list) else [inputs]
    if not 0 < len(items) <= limits.items:
        raise _invalid(f"{len(items)} items, expected 1 to {limits.items}")
    read = _text if modality == "text" else _media
    return [read(item, task, modality, limits) for item in items]


def _text(item: Any, task: str, modality: str, limits: Limits) -> dict[str, Any]:
    del modality
    keys = _TEXT_KEYS.get(task, _PAIRS)
    row = {"text": item} if isinstance(item, str) and "text" in keys else item
    if not isinstance(row, Mapping) or not row.keys() <= keys or not _needed(keys) <= row.keys():
        raise _invalid(f"an item is no text and no object with {', '.join(sorted(keys))}")
    if not all(isinstance(value, str) for value in row.values()):
        raise _invalid("an item's texts must be strings")
    if sum(len(value) for value in row.values()) > limits.characters:
        raise _invalid(f"an item is longer than {limits.characters} characters")
    for value in row.values():
        _refuse_surrogates(value)
    return dict(row)


def _needed(keys: frozenset[str]) -> frozenset[str]:
    return keys - {"text_pair"}


def _refuse_surrogates(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _invalid("a text holds half of a surrogate pair") from None


def _media(item: Any, task: str, modality: str, limits: Limits) -> dict[str, Any]:
    """A picture's or sound's file as base64. (A string is never taken for a path or an address.)"""
    del task, limits
    value = item.get(modality) if isinstance(item, Mapping) and set(item) == {modality} else item
    if not isinstance(value, str):
        raise _invalid(f"an item is no base64 text of {modality} data")
    try:
        return {modality: base64.b64decode(value, validate=True)}
    except (binascii.Error, ValueError):
        raise _invalid(f"an item is not valid base64 of {modality} data") from None


def _invalid(message: str) -> CompressError:
    return CompressError("input-invalid", message, hint="see /docs")
