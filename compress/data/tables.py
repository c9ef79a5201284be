"""Files of rows: csv, tsv, jsonl, json, parquet, txt, and the CoNLL layout of tagged words."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError
from compress.core.foreign import translated
from compress.core.regular_files import open_regular, parse_json, read_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

MAX_TEXT_BYTES = 2**30
"""Of a table that is read as text, which takes several times its size in memory; Parquet may be larger."""

MAX_CELL_BYTES = 2**28
"""Of some hundred decoded rows of a Parquet file: a dictionary may repeat one huge value in all of them."""

_BATCH = 256

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".txt", ".conll")


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

    def spread(self, limit: int | None) -> Table:
        """At most `limit` rows, evenly spaced over all of them, since files are often sorted."""
        chosen = evenly(len(self.rows), limit)
        rows = tuple(self.rows[index] for index in chosen)
        return replace(self, rows=rows, places=tuple(self.places[index] for index in chosen))


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


def read_table(path: Path, *, task: str, limit: int | None = None) -> Table:
    """Read a file by its suffix; of a longer one, `limit` rows spread evenly.

    Raises:
        CompressError: the file cannot be read, has a row that cannot be read, or holds no row.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return read_parquet([path], limit=limit)
    readers: dict[str, Callable[[Path, str], Iterator[tuple[int, dict[str, Any]]]]] = {
        ".csv": _csv_rows,
        ".tsv": _tsv_rows,
        ".jsonl": _jsonl_rows,
        ".ndjson": _jsonl_rows,
        ".json": _json_rows,
        ".txt": _txt_rows,
        ".conll": _conll_rows,
    }
    if suffix not in readers:
        known = ", ".join(TABLE_SUFFIXES)
        message = f"{path} is not a kind of data that can be read"
        raise CompressError("data-unsupported", message, hint=f"expected one of {known}, or a folder")
    reader = _conll_rows if suffix == ".txt" and task == "token-classification" else readers[suffix]
    unit = "row" if suffix == ".json" else "line"
    numbered = list(reader(path, _text(path)))
    if not numbered:
        raise CompressError("data-empty", f"{path} holds no rows", hint="check the file")
    rows = tuple(row for _, row in numbered)
    names = tuple(dict.fromkeys(name for row in rows for name in row))
    places = tuple(f"{path.name} {unit} {number}" for number, _ in numbered)
    table = Table(source=str(path), names=names, rows=rows, places=places, folder=path.parent)
    return table.spread(limit)


def read_parquet(paths: Sequence[Path], *, limit: int | None) -> Table:
    """Read the shards of one split; only the rows that are taken are decoded to Python.

    Raises:
        CompressError: a file is not parquet, or there is no row.
    """
    import pyarrow.parquet as pq

    hint = "mend the file, or name another"
    with translated("data-unreadable", f"{paths[0]} cannot be read", hint=hint):
        shards = [pq.ParquetFile(open_regular(path, code="data-unreadable")) for path in paths]
        counts = [_rows_of(shard, path) for shard, path in zip(shards, paths, strict=True)]
        wanted = set(evenly(sum(counts), limit))
        rows = [row for row in _parquet_rows(shards, wanted)]
        classes = _class_names(shards[0].schema_arrow.metadata or {}, where=str(paths[0]))
    if not rows:
        raise CompressError("data-empty", f"{paths[0]} holds no rows", hint="check the file")
    name = paths[0].name
    return Table(
        source=str(paths[0]),
        names=tuple(shards[0].schema_arrow.names),
        rows=tuple(rows),
        places=tuple(f"{name} row {number + 1}" for number in sorted(wanted)),
        folder=paths[0].parent,
        classes=classes,
    )


def unreadable(place: Path | str, error: Exception) -> CompressError:
    """The error for a file, or one place in it, that cannot be read."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return CompressError(
        "data-unreadable", f"{place} cannot be read: {reason}", hint="mend the file, or name another"
    )


def _parquet_rows(shards: Sequence[Any], wanted: set[int]) -> Iterator[dict[str, Any]]:
    start = 0
    for shard in shards:
        for batch in shard.iter_batches(batch_size=_BATCH):
            if batch.nbytes > MAX_CELL_BYTES:
                raise ValueError(f"{len(batch)} of its rows take {batch.nbytes:,} bytes")
            inside = [index - start for index in range(start, start + len(batch)) if index in wanted]
            if inside:
                yield from batch.take(inside).to_pylist()
            start += len(batch)


def _rows_of(shard: Any, path: Path) -> int:
    """The number of rows that a Parquet file declares.

    Raises:
        ValueError: it is more than its bytes can hold: counts are what a bomb is made of.
    """
    rows, size = int(shard.metadata.num_rows), path.stat().st_size
    if not 0 <= rows <= max(10**6, 256 * size):
        raise ValueError(f"it declares {rows:,} rows in {size:,} bytes")
    return rows


def _class_names(metadata: Mapping[bytes, bytes], *, where: str) -> dict[str, tuple[str, ...]]:
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


def _text(path: Path) -> str:
    try:
        data = read_bytes(path, limit=MAX_TEXT_BYTES, code="data-unreadable")
    except OSError as error:
        raise unreadable(path, error) from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"{path.name} line {line} is not UTF-8"
        raise CompressError("data-unreadable", message, hint="save the file as UTF-8") from None


def _csv_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    return _delimited(path, text, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL)


def _tsv_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Quoted as csv is, or, when that does not fit (GLUE's files), with quotes that mean nothing."""
    try:
        return iter(list(_delimited(path, text, delimiter="\t", quoting=csv.QUOTE_MINIMAL)))
    except CompressError:
        return _delimited(path, text, delimiter="\t", quoting=csv.QUOTE_NONE)


def _delimited(
    path: Path, text: str, *, delimiter: str, quoting: Any
) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=True)
    names: list[str] = []
    try:
        for fields in reader:
            if not fields:
                continue
            if not names:
                names = [name.strip() for name in fields]
                continue
            if len(fields) != len(names):
                raise _ragged(path, reader.line_num, len(fields), names)
            yield reader.line_num, dict(zip(names, fields, strict=True))
    except csv.Error as error:
        raise unreadable(f"{path.name} line {reader.line_num}", error) from None


def _ragged(path: Path, line: int, found: int, names: Sequence[str]) -> CompressError:
    message = f"{path.name} line {line} has {found} fields, expected {len(names)} ({', '.join(names)})"
    return CompressError("data-unreadable", message, hint="quote fields that hold the delimiter")


def _jsonl_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            place = f"{path.name} line {number}"
            yield number, _mapping(_parsed(line, place), place)


def _json_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """A list of rows, the same under `data`, columns of equal length, SQuAD, or lines after all."""
    try:
        values = parse_json(text, where=str(path), code="data-unreadable")
    except CompressError:
        if "\n" not in text.strip():
            raise
        yield from _jsonl_rows(path, text)
        return
    values = values.get("data", values) if isinstance(values, dict) else values
    if isinstance(values, dict):
        values = _transposed(path, values)
    if not isinstance(values, list):
        raise unreadable(path, ValueError("expected a list of rows, or columns of equal length"))
    if values and isinstance(values[0], dict) and "paragraphs" in values[0]:
        with translated("data-unreadable", f"{path} is no SQuAD file", hint="see its format"):
            values = list(_squad_rows(values))
    for number, value in enumerate(values, start=1):
        yield number, _mapping(value, f"{path.name} row {number}")


def _transposed(path: Path, columns: dict[str, Any]) -> list[dict[str, Any]]:
    lengths = {len(values) for values in columns.values() if isinstance(values, list)}
    if len(lengths) != 1 or not all(isinstance(values, list) for values in columns.values()):
        raise unreadable(path, ValueError("expected a list of rows, or columns of equal length"))
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _squad_rows(articles: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows of SQuAD's own nesting (Rajpurkar et al. 2016)."""
    for article in articles:
        for paragraph in article["paragraphs"]:
            for entry in paragraph["qas"]:
                answers = {"text": [answer["text"] for answer in entry.get("answers", [])]}
                yield {"question": entry["question"], "context": paragraph["context"], "answers": answers}


def _parsed(line: str, place: str) -> Any:
    return parse_json(line, where=place, code="data-unreadable")


def _mapping(value: Any, place: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    message = f"{place} is a {type(value).__name__}, expected an object with named columns"
    raise CompressError("data-unreadable", message, hint='write {"text": ..., "label": ...}')


def _txt_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """One item a line; blank lines and wiki headings (`= Title =`) are no items."""
    del path
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.strip()
        if line and not re.fullmatch(r"=+ .* =+", line):
            yield number, {"text": line}


def _conll_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """A word and its tag a line (first and last field), a blank line between sentences."""
    tokens: list[str] = []
    tags: list[str] = []
    first = 1
    for number, line in enumerate([*text.split("\n"), ""], start=1):
        fields = line.split()
        if fields and fields[0] == "-DOCSTART-":
            continue
        if not fields and tokens:
            yield first, {"tokens": tokens, "tags": tags}
            tokens, tags = [], []
        elif fields:
            if len(fields) < 2:
                message = f"{path.name} line {number} has no tag after '{fields[0]}'"
                raise CompressError("data-unreadable", message, hint="write a word and a tag a line")
            first = first if tokens else number
            tokens.append(fields[0])
            tags.append(fields[-1])
