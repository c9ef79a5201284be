"""Rows to calibrate and to heal on, from files of their own: nothing of them is judged, so nobody need
have labelled them, and every column of text is used.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError
from compress.data.columns import choose_columns, is_known_text
from compress.data.conversations import conversation_column, with_text
from compress.data.items import ANSWERS, modality_of, read_source
from compress.data.media import refuse_unreadable
from compress.data.table import value_of
from compress.data.targets import Outputs
from compress.data.values import canonical_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from compress.data.conversations import WriteChat
    from compress.data.table import Table

    Row = dict[str, Any]

_SINGLE_TEXTS = ("text-classification", "feature-extraction", "fill-mask", "text-generation")
_LOOK = 200
"""Rows of a column that are looked at to tell whether it holds text."""


@dataclass(frozen=True, kw_only=True)
class Unlabelled:
    """Rows in canonical columns, mixed; `sources` says in words what was read of what was named (`names`),
    `left_out` how many rows were not used because they are judged.
    """

    rows: tuple[Mapping[str, Any], ...]
    names: tuple[str, ...]
    sources: tuple[str, ...]
    left_out: int = 0

    def without(self, judged: Iterable[Mapping[str, Any]]) -> Unlabelled:
        """Those rows that share no text with rows that are judged."""
        kept = tuple(without_texts(self.rows, judged))
        return replace(self, rows=kept, left_out=len(self.rows) - len(kept))


def without_texts(
    rows: Sequence[Mapping[str, Any]], judged: Iterable[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Return those rows that share no text with rows that are judged."""
    seen = {text for row in judged for text in _texts(row)}
    return [row for row in rows if not seen & _texts(row)]


def mixed(first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the rows of both, spread evenly, so that any beginning holds both in their shares."""
    placed = [((at + 0.5) / len(rows), row) for rows in (first, second) for at, row in enumerate(rows)]
    return [row for _, row in sorted(placed, key=lambda one: one[0])]


def load_unlabelled(
    sources: Sequence[str],
    *,
    task: str,
    modality: str | None = None,
    labels: Mapping[str, int] | None = None,
    problem: str | None = None,
    label_map: Mapping[str, str] | None = None,
    write_chat: WriteChat | None = None,
    pairs: bool = False,
    offline: bool = False,
    seed: int = 0,
) -> Unlabelled:
    """Read files, folders or Hub data sets, in an order that mixes them (the same at every call).

    Models of a single text get every column of text as rows of its own, unless `pairs` says that two
    texts are one input; `write_chat` writes conversations as text. A classifier's labels are kept where
    all of them are the model's (`labels`).

    Raises:
        CompressError: a source is missing, empty or unreadable, or has nothing of what the task reads.
    """
    modality = modality or modality_of(task)
    outputs = Outputs(task=task, labels=labels or {}, problem=problem, given=label_map or {})
    rows: list[Row] = []
    said = []
    for source in sources:
        table = read_source(source, task=task, modality=modality, offline=offline, limit=None)
        if task == "text-generation" and write_chat and (talk := conversation_column(table, None)):
            table = replace(with_text(table, talk, write_chat), names=(talk,))
        columns, found = _rows(table, modality=modality, outputs=outputs, pairs=pairs)
        if not found:
            raise CompressError("data-empty", f"{source} holds nothing to read", hint="check the columns")
        rows += found
        said.append(f"{source} ({', '.join(columns)}: {len(found):,} rows)")
    order = sorted(range(len(rows)), key=lambda at: hashlib.sha256(f"{seed} {at}".encode()).digest())
    mixed = tuple(rows[at] for at in order)
    return Unlabelled(rows=mixed, names=tuple(sources), sources=tuple(said))


def _rows(table: Table, *, modality: str, outputs: Outputs, pairs: bool) -> tuple[list[str], list[Row]]:
    """The columns that were taken, and the rows."""
    task = outputs.task
    if modality == "text" and task in _SINGLE_TEXTS and not pairs:
        columns = _text_columns(table)
        if task == "text-classification" and len(columns) == 1:
            return columns, _labelled(table, {"text": columns[0]}, outputs)
        texts = [str(value_of(row, column) or "") for column in columns for row in table.rows]
        return columns, [{"text": text} for text in texts if text.strip()]
    chosen = choose_columns(table, task=task, modality=modality, given={})
    given = {name: column for name, column in chosen.items() if name not in ANSWERS}
    rows = _labelled(table, given, outputs)
    if modality != "text":
        refuse_unreadable(rows, modality)
    return list(given.values()), rows


def _labelled(table: Table, given: Mapping[str, str], outputs: Outputs) -> list[Row]:
    """Rows with what a model is given, and with their labels if these are surely the model's."""
    task = outputs.task
    chosen = choose_columns(table, task=task, modality=modality_of(task), given=given)
    if "label" in chosen and outputs.labels:
        try:
            found = canonical_rows(table, {**given, "label": chosen["label"]}, outputs)
            if found.label_map is None or not found.label_map.guess:
                return found.rows
        except CompressError as error:
            if not error.code.startswith("label-") and error.code != "row-invalid":
                raise
    return canonical_rows(table, given, outputs).rows


def _text_columns(table: Table) -> list[str]:
    """The columns that hold text: by their names, or because most of their cells have several words.

    Raises:
        CompressError: there is none.
    """
    first, names = table.rows[:_LOOK], (*table.names, *table.nested)
    found = [name for name in names if _is_text(name, [value_of(row, name) for row in first])]
    if not found:
        message = f"{table.source} has no column of text, found {', '.join(table.names)}"
        raise CompressError("column-missing", message, hint="name the column `text`")
    return found


def _is_text(name: str, cells: Sequence[Any]) -> bool:
    texts = [cell for cell in cells if isinstance(cell, str) and cell.strip()]
    worded = sum(len(text.split()) > 1 for text in texts)
    return bool(texts) and (is_known_text(name) or worded * 2 > len(cells))


def _texts(row: Mapping[str, Any]) -> set[str]:
    """What a model is given, so that the same text is known again in any case and spacing."""
    values = [value for name, value in row.items() if name not in ANSWERS]
    plain = [" ".join(map(str, value)) if isinstance(value, list) else str(value) for value in values]
    return {" ".join(text.split()).casefold() for text in plain}
