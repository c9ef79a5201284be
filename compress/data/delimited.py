"""Rows between delimiters: csv and tsv, with or without a header."""

from __future__ import annotations

import csv
import io
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError
from compress.data.columns import is_known_column

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_LOOK = 200
"""Rows that are looked at to tell a header from data."""
_DELIMITERS = ",;\t|"
_WORDS = 4
"""A cell of so many words is text; names of columns have fewer."""


@dataclass(frozen=True, kw_only=True)
class Delimited:
    """The rows of a file by column, and the line that each ends on."""

    rows: list[tuple[int, dict[str, Any]]]
    roles: Mapping[str, str] = field(default_factory=dict)
    """Canonical names to columns, where there is no header and the cells tell."""
    notes: tuple[str, ...] = ()


def read_delimited(name: str, text: str, *, tabs: bool) -> Delimited:
    """Read csv, or tsv (`tabs`). Columns of a file without a header are called `1`, `2`, ....

    Tab-separated cells are quoted as in csv or, where that does not fit (GLUE's files), not at all.

    Raises:
        CompressError: A row cannot be read, or has other cells than the first; the line is named.
    """
    delimiter, body = ("\t", text) if tabs else _dialect(text)
    try:
        lines = _records(name, body, delimiter, quoting=csv.QUOTE_MINIMAL)
        return _table(name, lines, delimiter)
    except CompressError:
        if not tabs:
            raise
        return _table(name, _records(name, body, delimiter, quoting=csv.QUOTE_NONE), delimiter)


def _dialect(text: str) -> tuple[str, str]:
    """Find the delimiter, and cut off the line `sep=;` that spreadsheets write before the header."""
    stated = re.match(r"sep=(.)\r?\n", text)
    if stated:
        return stated[1], text[stated.end() :]
    first = re.split(r"[\r\n]", text, maxsplit=1)[0]
    even = [mark for mark in _DELIMITERS if mark in first and _is_even(text, mark)]
    return max(even or _DELIMITERS, key=first.count), text


def _is_even(text: str, delimiter: str) -> bool:
    """Tell whether the first rows have the same number of cells."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    with _long_fields(len(text)):
        return len({len(cells) for cells in islice(reader, 20) if cells}) == 1


@contextmanager
def _long_fields(size: int) -> Iterator[None]:
    """Let cells be longer than the 131,072 characters at which the csv module stops."""
    before = csv.field_size_limit(max(size, 1))
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _records(name: str, text: str, delimiter: str, *, quoting: Any) -> list[tuple[int, list[str]]]:
    """Split each row that is not blank into cells, with the line that it ends on."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=True)
    try:
        with _long_fields(len(text)):
            return [(reader.line_num, cells) for cells in reader if cells]
    except csv.Error as error:
        message = f"{name} line {reader.line_num} cannot be read: {error}"
        raise CompressError("data-unreadable", message, hint="mend the file, or name another") from None


def _table(name: str, records: Sequence[tuple[int, list[str]]], delimiter: str) -> Delimited:
    if not records:
        return Delimited(rows=[])
    first, rest = records[0][1], records[1:]
    cells = [row for _, row in rest[:_LOOK] if len(row) == len(first)]
    if not cells or _is_header(first, cells):
        return Delimited(rows=_named(name, _distinct(first), rest))
    names = [str(number) for number in range(1, len(first) + 1)]
    roles = _roles(names, [first, *cells])
    taken = "".join(f", {role} = column {column}" for role, column in roles.items())
    note = f"{name} has no header: its columns are called 1 to {len(names)}{taken}"
    return Delimited(rows=_named(name, names, records), roles=roles, notes=(note,))


def _named(
    name: str, columns: Sequence[str], records: Sequence[tuple[int, list[str]]]
) -> list[tuple[int, dict[str, Any]]]:
    for line, cells in records:
        if len(cells) != len(columns):
            listed = ", ".join(columns)
            message = f"{name} line {line} has {len(cells)} fields, expected {len(columns)} ({listed})"
            raise CompressError("data-unreadable", message, hint="quote fields that hold the delimiter")
    return [(line, dict(zip(columns, cells, strict=True))) for line, cells in records]


def _distinct(names: Sequence[str]) -> list[str]:
    """Strip names, and number those that are repeated, so that no column is lost."""
    found: list[str] = []
    for name in names:
        plain = name.strip()
        found.append(f"{plain}.{found.count(plain)}" if plain in found else plain)
    return found


def _is_header(first: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Tell whether the first row names columns: a known name or a word above numbers or texts says so, a
    number above numbers, a value that comes again or a text says otherwise.
    """
    if any(is_known_column(cell) for cell in first):
        return True
    columns = list(zip(*rows, strict=True))
    if any(_names(cell, values) for cell, values in zip(first, columns, strict=True)):
        return True
    return not any(_continues(cell, values) for cell, values in zip(first, columns, strict=True))


def _names(cell: str, values: Sequence[str]) -> bool:
    if not cell.strip() or _is_number(cell):
        return False
    return all(map(_is_number, values)) or (len(cell.split()) < _WORDS and _is_text(values))


def _continues(cell: str, values: Sequence[str]) -> bool:
    if _is_number(cell):
        return all(map(_is_number, values))
    return len(cell.split()) >= _WORDS or (_repeats(values) and cell in values)


def _roles(names: Sequence[str], rows: Sequence[Sequence[str]]) -> dict[str, str]:
    """Find the one column of texts, and the one of few values beside it, if no other could be meant."""
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    texts = [name for name, values in columns.items() if _is_text(values)]
    labels = [name for name, values in columns.items() if name not in texts and _repeats(values)]
    if len(texts) != 1:
        return {}
    return {"text": texts[0], **({"label": labels[0]} if len(labels) == 1 else {})}


def _is_text(values: Sequence[str]) -> bool:
    return 2 * sum(len(value.split()) >= _WORDS for value in values) > len(values)


def _repeats(values: Sequence[str]) -> bool:
    return 2 * len(set(values)) <= len(values)


def _is_number(cell: str) -> bool:
    return re.fullmatch(r"\s*[-+]?\d+(?:[.,]\d+)?(?:[eE][-+]?\d+)?\s*", cell) is not None
