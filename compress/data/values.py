"""Cells of a table to the values of canonical rows."""

from __future__ import annotations

import ast
import json
from functools import partial
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError
from compress.data.labels import IGNORED, LabelReader, is_missing
from compress.data.table import value_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from compress.data.table import Table

    Reader = Callable[[Any, str, str], Any]
    """Turns a cell into a value, given its place and its column's name for an error."""

_LITERAL_LIMIT = 2**20
"""Characters of a list that is written into a cell: Python's parser takes a kilobyte for each few."""

TEXT_COLUMNS = ("text", "text_pair", "question", "context", "transcript")


def canonical_rows(
    table: Table, columns: Mapping[str, str], *, task: str, labels: Mapping[str, int] | None
) -> list[dict[str, Any]]:
    """The rows of `table` under canonical names, with values of canonical types.

    A column of labels that are all missing is left out.

    Raises:
        CompressError: a cell is of the wrong type, or a label is unknown; names the first such place.
    """
    readers = _readers(table, columns, task=task, labels=labels)
    rows = []
    for cells, place in zip(table.rows, table.places, strict=True):
        row = {}
        for name, read in readers.items():
            value = value_of(cells, columns[name])
            if value is None and name != "answers":
                raise _wrong(place, columns[name], value, "a value")
            row[name] = read(value, place, columns[name])
        rows.append(row)
    return rows


def _readers(
    table: Table, columns: Mapping[str, str], *, task: str, labels: Mapping[str, int] | None
) -> dict[str, Reader]:
    media = partial(_media, folder=table.folder)
    plain: dict[str, Reader] = dict.fromkeys(TEXT_COLUMNS, _string)
    plain |= {"tokens": _words, "answers": _answers, "image": media, "audio": media}
    readers = {name: plain[name] for name in columns if name in plain}
    if "label" in columns and not all(is_missing(value_of(row, columns["label"])) for row in table.rows):
        readers["label"] = _label_reader(table, columns["label"], task=task, labels=labels)
    if "tags" in columns:
        readers["tags"] = _tags_reader(table, columns["tags"], labels=labels)
    return readers


def _label_reader(table: Table, column: str, *, task: str, labels: Mapping[str, int] | None) -> Reader:
    reader = LabelReader(
        labels=labels,
        classes=table.classes.get(column),
        values=[value_of(row, column) for row in table.rows],
        scores=task == "feature-extraction",
    )

    def read(value: Any, place: str, column: str) -> int | float:
        if is_missing(value):
            raise _wrong(place, column, value, "a label")
        return reader.read(value, place)

    return read


def _tags_reader(table: Table, column: str, *, labels: Mapping[str, int] | None) -> Reader:
    cells = zip(table.rows, table.places, strict=True)
    values = [tag for row, place in cells for tag in _words(value_of(row, column), place, column)]
    reader = LabelReader(labels=labels, classes=table.classes.get(column), values=values)

    def read(value: Any, place: str, column: str) -> list[int | float]:
        tags = _words(value, place, column)
        return [IGNORED if tag in (IGNORED, str(IGNORED)) else reader.read(tag, place) for tag in tags]

    return read


def _string(value: Any, place: str, column: str) -> str:
    if not isinstance(value, str):
        raise _wrong(place, column, value, "text")
    return value


def _words(value: Any, place: str, column: str) -> list[Any]:
    """A list; also one that was written into a cell as JSON or Python, or words between spaces."""
    if isinstance(value, str):
        value = _literal(value) if value.lstrip().startswith("[") else value.split()
    if not isinstance(value, list) or not value or any(isinstance(word, list | dict) for word in value):
        raise _wrong(place, column, value, "a list of words that is not empty")
    return value


def _answers(value: Any, place: str, column: str) -> list[str]:
    """The texts of SQuAD's `{"text": [...], "answer_start": [...]}`, of a list, or of one string."""
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        parsed = _literal(value)
        value = value if parsed is None else parsed
    if isinstance(value, dict):
        value = value.get("text", [])
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = f"{value:.10g}"
    if isinstance(value, str):
        value = [value] if value else []
    if not isinstance(value, list) or not all(isinstance(answer, str | dict) for answer in value):
        raise _wrong(place, column, value, "answers as texts")
    return [str(answer["text"] if isinstance(answer, dict) else answer) for answer in value]


def _literal(text: str) -> Any:
    if len(text) > _LITERAL_LIMIT:
        return None
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):  # the last: nested deeply
            continue
    return None


def _media(value: Any, place: str, column: str, *, folder: Path) -> Path | bytes:
    """A file below `folder`, or the bytes of one as the `datasets` library stores them."""
    if isinstance(value, dict):
        if value.get("bytes"):
            return bytes(value["bytes"])
        value = value.get("path")
    if not isinstance(value, str) or not value:
        raise _wrong(place, column, value, "a file's name")
    path = folder / value
    if (
        PureWindowsPath(value).is_absolute()
        or PurePosixPath(value).is_absolute()
        or ".." in PurePosixPath(value).parts
    ):
        raise _outside(place, value)
    if not path.is_file():
        message = f"{place}: no such file {path}"
        raise CompressError("data-unreadable", message, hint="names are relative to the table's folder")
    return path


def _outside(place: str, name: str) -> CompressError:
    message = f"{place}: '{name}' leads out of the folder"
    return CompressError("path-escapes", message, hint="write names relative to the table's folder")


def _wrong(place: str, column: str, value: Any, expected: str) -> CompressError:
    found = "nothing" if value is None or value == "" else f"{type(value).__name__} {str(value)[:40]!r}"
    message = f"{place}: column '{column}' holds {found}, expected {expected}"
    return CompressError("row-invalid", message, hint="mend the row, or name another column")
