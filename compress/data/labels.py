"""Labels as files write them (numbers, names, scores) to the numbers that a model answers with."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

IGNORED = -100
"""The tag of a word that is not counted, as PyTorch's cross entropy has it."""


class LabelReader:
    """Turns written labels into classes, by the names that the model has for them.

    `labels` is the model's `label2id` (None: not known; one entry: the model gives a score),
    `classes` the names of the integer labels of the file, if it states them, and `values` all
    written labels, from which names are numbered in sorted order where the model's are LABEL_0 ...
    """

    def __init__(
        self,
        *,
        labels: Mapping[str, int] | None,
        classes: Sequence[str] | None,
        values: Sequence[Any],
        scores: bool = False,
    ) -> None:
        self._labels = dict(labels or {})
        self._scores = scores or len(self._labels) == 1
        self._ids = {_plain(name): number for name, number in self._labels.items()}
        self._classes = _same_names(classes or (), self._ids)
        if not self._labels or _generic(self._labels):
            self._ids |= _numbered(values, count=len(self._labels))

    def read(self, value: Any, place: str) -> int | float:
        """The class (int) or score (float) that `value` stands for.

        Raises:
            CompressError: it is no name and no number of a class of this model.
        """
        if self._scores:
            return self._score(value, place)
        if self._classes and isinstance(value, int) and 0 <= value < len(self._classes):
            return self._ids[_plain(self._classes[value])]
        if isinstance(value, str) and _plain(value) in self._ids:
            return self._ids[_plain(value)]
        number = _number(value)
        if number is None:
            raise self._unknown(value, place)
        if number == int(number) and (not self._labels or 0 <= number < len(self._labels)):
            return int(number)
        if not self._labels:
            return number
        raise self._unknown(value, place)

    def _score(self, value: Any, place: str) -> float:
        number = _number(value)
        if number is None:
            message = f"{place} has the label {value!r}, expected a number"
            raise CompressError("label-unknown", message, hint="this model gives a score, not a class")
        return number

    def _unknown(self, value: Any, place: str) -> CompressError:
        message = f"{place} has the label {value!r}, which is none of the model's {len(self._labels)}"
        known = list(self._labels)
        hint = did_you_mean(str(value), known) if len(known) <= 20 else f"such as {', '.join(known[:8])}"
        return CompressError("label-unknown", message, hint=hint)


def is_missing(value: Any) -> bool:
    """Whether a cell holds no label: nothing, or the -1 of test splits whose labels are held back."""
    return value is None or (isinstance(value, str) and value.strip() in ("", "-1")) or value in (-1, -1.0)


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if abs(number) < float("inf") else None


def _generic(labels: Mapping[str, int]) -> bool:
    return all(re.fullmatch(r"LABEL_\d+", name) for name in labels)


def _same_names(classes: Sequence[str], ids: Mapping[str, int]) -> tuple[str, ...]:
    """The file's names of its integer labels, if the model has the same ones (maybe reordered)."""
    return tuple(classes) if classes and all(_plain(name) in ids for name in classes) else ()


def _numbered(values: Sequence[Any], *, count: int) -> dict[str, int]:
    """Names in sorted order, as image folders are read everywhere, if they are as many as the classes."""
    names = sorted({value for value in values if isinstance(value, str) and _number(value) is None})
    if not names or (count and len(names) != count):
        return {}
    return {_plain(name): number for number, name in enumerate(names)}
