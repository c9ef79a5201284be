"""Cells of a table to the values of canonical rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError
from compress.data.several import literal
from compress.data.table import value_of
from compress.data.targets import is_unlabelled, label_column, tag_column

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from compress.data.labels import LabelMap
    from compress.data.table import Table
    from compress.data.targets import Column, Outputs

    Reader = Callable[[Any, str, str], Any]
    """Turns a cell into a value, given its place and its column's name for an error."""

MAY_LACK_ANSWER = "may_lack_answer"
"""Is in every row of questions some of which have no answer, so that a model may say that there is none."""

TEXT_COLUMNS = ("text", "text_pair", "question", "context", "transcript")


@dataclass(frozen=True)
class Canonical:
    """Rows under canonical names, and which class each written label is, where labels are classes."""

    rows: list[dict[str, Any]]
    label_map: LabelMap | None = None


def canonical_rows(table: Table, columns: Mapping[str, str], outputs: Outputs) -> Canonical:
    """Bring the rows of `table` under canonical names, with values of canonical types.

    A column of labels that are all missing is left out.

    Raises:
        CompressError: a cell is of the wrong type, or a label is unknown; names the first such place.
    """
    readers, label_map = _readers(table, columns, outputs)
    rows = []
    for cells, place in zip(table.rows, table.places, strict=True):
        row = {}
        for name, read in readers.items():
            value = value_of(cells, columns[name])
            if value is None and name not in _MAY_BE_EMPTY:
                raise _wrong(place, columns[name], value, "a value")
            row[name] = read(value, place, columns[name])
        rows.append(row)
    return Canonical(_with_unanswerable(rows), label_map)


_MAY_BE_EMPTY = ("answers", "is_impossible", "label")


def _with_unanswerable(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Fold `is_impossible` into the answers, and mark rows by `MAY_LACK_ANSWER` where some questions have an
    answer and some have none.
    """
    marked = [bool(row.pop("is_impossible", False)) for row in rows]
    for row, impossible in zip(rows, marked, strict=True):
        if impossible:
            row["answers"] = []
    without = [row for row in rows if "context" in row and row.get("answers") == []]
    if without and (any(marked) or len(without) < len(rows)):
        return [row | {MAY_LACK_ANSWER: True} for row in rows]
    return rows


def _flag(value: Any, place: str, column: str) -> bool:
    if value is None or str(value).strip().casefold() in ("false", "0", "no", ""):
        return False
    if str(value).strip().casefold() in ("true", "1", "yes"):
        return True
    raise _wrong(place, column, value, "true or false")


def _readers(
    table: Table, columns: Mapping[str, str], outputs: Outputs
) -> tuple[dict[str, Reader], LabelMap | None]:
    media = partial(_media, folder=table.folder)
    plain: dict[str, Reader] = dict.fromkeys(TEXT_COLUMNS, _string)
    plain |= {"tokens": _words, "answers": _answers, "image": media, "audio": media}
    plain["is_impossible"] = _flag
    readers = {name: plain[name] for name in columns if name in plain}
    found = None
    if "label" in columns and not is_unlabelled([value_of(row, columns["label"]) for row in table.rows]):
        found = label_column(table, columns["label"], outputs)
        readers["label"] = _reader(found)
    if "tags" in columns:
        found = tag_column(table, columns["tags"], outputs, _words)
        readers["tags"] = _reader(found)
    return readers, found.label_map if found else None


def _reader(column: Column) -> Reader:
    return lambda value, place, _: column.read(value, place)


def _string(value: Any, place: str, column: str) -> str:
    if not isinstance(value, str):
        raise _wrong(place, column, value, "text")
    return value


def _words(value: Any, place: str, column: str) -> list[Any]:
    """A list; also one that was written into a cell as JSON or Python, or words between spaces."""
    if isinstance(value, str):
        value = literal(value) if value.lstrip().startswith("[") else value.split()
    if not isinstance(value, list) or not value or any(isinstance(word, list | dict) for word in value):
        raise _wrong(place, column, value, "a list of words that is not empty")
    return value


def _answers(value: Any, place: str, column: str) -> list[str]:
    """The texts of SQuAD's `{"text": [...], "answer_start": [...]}`, of a list, or of one string."""
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        parsed = literal(value)
        value = value if parsed is None else parsed
    if isinstance(value, dict):
        value = value.get("text", [])
    if value is None:
        value = []
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = f"{value:.10g}"
    if isinstance(value, str):
        value = [value] if value else []
    answers = value if isinstance(value, list) else [None]
    texts = [answer.get("text") if isinstance(answer, dict) else answer for answer in answers]
    if not all(isinstance(text, str) for text in texts):
        raise _wrong(place, column, value, "answers as texts")
    return [str(text) for text in texts]


def _media(value: Any, place: str, column: str, *, folder: Path) -> Path | bytes:
    """A file below `folder`, or the bytes of one as the `datasets` library stores them."""
    if isinstance(value, dict):
        if value.get("bytes") and isinstance(value["bytes"], bytes):  # of a number they would be zeros
            return value["bytes"]
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
