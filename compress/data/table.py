"""A table: rows as they were written, and where each of them stands."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError
from compress.core.regular_files import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


_LOOK = 100
"""Rows that are searched for nested values."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows as they were written, each with the place that an error about it names."""

    source: str
    names: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]
    places: tuple[str, ...]
    """`FILE line 7` (text files count from 1) or `FILE row 7`."""
    folder: Path
    """What file names in the rows are relative to."""
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By column: the names of its integer labels, where the file states them."""
    origin: Mapping[str, str] = field(default_factory=dict)
    """By column: what to show as its source, where that is not a column of a file."""
    roles: Mapping[str, str] = field(default_factory=dict)
    """Canonical names to columns, where the cells tell what no header does."""
    notes: tuple[str, ...] = ()
    """What a user should know of how the file was read."""

    @cached_property
    def nested(self) -> tuple[str, ...]:
        """Values inside of mappings by dotted names: `meta.body`, as far as the first rows have them."""
        paths = (path for row in self.rows[:_LOOK] for path in _leaves(row) if "." in path)
        return tuple(name for name in dict.fromkeys(paths) if name not in self.names)

    def spread(self, limit: int | None) -> Table:
        """At most `limit` rows, evenly spaced over all of them, since files are often sorted."""
        chosen = evenly(len(self.rows), limit)
        rows = tuple(self.rows[index] for index in chosen)
        return replace(self, rows=rows, places=tuple(self.places[index] for index in chosen))


def value_of(row: Mapping[str, Any], name: str) -> Any:
    """Look up the value of a column, or of one inside of mappings by its dotted name; None if it has none."""
    if name in row:
        return row[name]
    first, dot, rest = name.partition(".")
    inner = row.get(first)
    return value_of(inner, rest) if dot and isinstance(inner, dict) else None


def _leaves(row: Mapping[str, Any], levels: int = 4) -> Iterator[str]:
    for name, value in row.items():
        if isinstance(value, dict) and levels > 1:
            yield from (f"{name}.{path}" for path in _leaves(value, levels - 1))
        else:
            yield str(name)


def joined(tables: Sequence[Table]) -> Table:
    """The rows of several tables with the same columns, one after the other."""
    rows = tuple(row for table in tables for row in table.rows)
    places = tuple(place for table in tables for place in table.places)
    return replace(tables[0], rows=rows, places=places)


def evenly(count: int, limit: int | None) -> list[int]:
    """At most `limit` of `count` positions, evenly spaced."""
    if limit is None or limit >= count:
        return list(range(count))
    return [index * count // limit for index in range(limit)]


def unreadable(place: Path | str, error: Exception) -> CompressError:
    """The error for a file, or one place in it, that cannot be read."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return CompressError(
        "data-unreadable", f"{place} cannot be read: {reason}", hint="mend the file, or name another"
    )


def class_names(metadata: Mapping[bytes, bytes], *, where: str) -> dict[str, tuple[str, ...]]:
    """The names of integer labels, from the features that the `datasets` library writes.

    Raises:
        CompressError: there are such metadata, and they are no JSON.
    """
    text = metadata.get(b"huggingface", b"{}").decode("utf8", "replace")
    written = parse_json(text, where=f"{where}: metadata 'huggingface'", code="data-unreadable")
    info = _part(written, "info")
    found = {column: _names_of(feature) for column, feature in _part(info, "features").items()}
    return {column: names for column, names in found.items() if names}


def _part(values: Any, key: str) -> dict[str, Any]:
    part = values.get(key) if isinstance(values, dict) else None
    return part if isinstance(part, dict) else {}


def _names_of(feature: Any) -> tuple[str, ...]:
    """The names of a `ClassLabel`, also inside of a sequence; empty where a column is something else."""
    inner = feature.get("feature", feature) if isinstance(feature, dict) else feature
    inner = inner[0] if isinstance(inner, list) and inner else inner
    names = inner.get("names") if isinstance(inner, dict) and inner.get("_type") == "ClassLabel" else None
    return tuple(names) if isinstance(names, list) and all(isinstance(name, str) for name in names) else ()
