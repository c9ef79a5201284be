"""Labels of which a row has several: classes that do not exclude each other, or several scores."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from compress.data.labels import finite_number, is_blank, label_key, whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from compress.data.labels import LabelMap
    from compress.data.table import Table

_LITERAL_LIMIT = 2**20
"""Characters of a list that is written into a cell: Python's parser takes a kilobyte for each few."""

FLAGS = "labels of all columns"
"""The column that is made of one column a class."""


def as_list(value: Any) -> list[Any] | None:
    """List the labels of one cell: a list, one that was written into a cell as JSON or Python, names between
    commas, semicolons or bars, or a single one. None for what is no list of labels.
    """
    if is_blank(value):
        return []
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = literal(value)
    elif isinstance(value, str):
        value = [part.strip() for part in re.split(r"[,;|]", value) if part.strip()]
    value = value if isinstance(value, list) else [value]
    return None if any(isinstance(part, (list, dict)) or is_blank(part) for part in value) else value


def literal(text: str) -> Any:
    """Parse a cell that was written as JSON or as Python; None where it is neither, or very long."""
    if len(text) > _LITERAL_LIMIT:
        return None
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):  # the last: nested deeply
            continue
    return None


def are_flags(rows: Sequence[Sequence[Any]], count: int) -> bool | None:
    """Tell whether lists say yes or no to each class; None where they might be numbers of classes, too.

    Args:
        rows: The lists of all rows.
        count: The number of classes.
    """
    flags = all(len(row) == count and {finite_number(value) for value in row} <= {0.0, 1.0} for row in rows)
    if not flags or not rows:
        return False
    # Of two classes `[0, 1]` may be both of them, unless some row is `[0, 0]`, `[1, 1]` or in falling order.
    if count == 2 and all(len({label_key(value) for value in row}) == 2 for row in rows):
        return None
    return True


def hits(values: Sequence[Any], label_map: LabelMap | None, count: int) -> list[int]:
    """Write a row's labels as one flag a class, int (count,); without a map they are flags already."""
    if label_map is None:
        return [whole_number(value) or 0 for value in values]
    numbers = {label_map.keys[label_key(value)] for value in values}
    return [int(number in numbers) for number in range(count)]


def with_flags(table: Table, labels: Mapping[str, int]) -> Table | None:
    """Add the column `FLAGS`, a list a row, where each class has a column of flags of its own.

    Args:
        table: The rows as they were written.
        labels: The model's classes by name.

    Returns:
        The table with the lists in the order of the classes; None where some class has no column.
    """
    columns = {label_key(name): name for name in table.names}
    ordered = [columns.get(label_key(name)) for name in sorted(labels, key=labels.__getitem__)]
    names = [name for name in ordered if name is not None]
    if len(names) < len(ordered) or len(names) < 2:
        return None
    rows = tuple({**row, FLAGS: [row.get(name) for name in names]} for row in table.rows)
    origin = {**table.origin, FLAGS: f"{len(names)} columns, {names[0]} to {names[-1]}"}
    return replace(table, rows=rows, origin=origin)
