"""Labels of which a row has several: classes that do not exclude each other, or several scores."""

from __future__ import annotations

import ast
import json
import re
from typing import TYPE_CHECKING, Any

from compress.data.labels import finite_number, is_blank, label_key, whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from compress.data.labels import LabelMap


def as_list(value: Any) -> list[Any] | None:
    """The labels of one cell: a list, one that was written into a cell as JSON or Python, names between
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
    """What a cell holds that was written as JSON or as Python; None where it is neither."""
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return None


def are_flags(rows: Sequence[Sequence[Any]], count: int) -> bool | None:
    """Whether lists of labels say yes or no to each class. None where they might be numbers of classes, too.

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
    """A row's labels as one flag a class, int (count,); without a map they are flags already."""
    if label_map is None:
        return [whole_number(value) or 0 for value in values]
    numbers = {label_map.keys[label_key(value)] for value in values}
    return [int(number in numbers) for number in range(count)]


def one_hot_columns(names: Sequence[str], labels: Mapping[str, int]) -> dict[str, int]:
    """Columns called as the model's classes are, one for each class; empty where some are missing."""
    columns = {label_key(name): name for name in names}
    keys = {label_key(name): number for name, number in labels.items()}
    found = {columns[key]: number for key, number in keys.items() if key in columns}
    return found if len(found) == len(labels) > 1 else {}
