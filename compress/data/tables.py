"""Files of rows: csv, tsv, jsonl, json, parquet, Arrow, txt and CoNLL, plain or compressed."""

from __future__ import annotations

import codecs
import io
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError
from compress.core.foreign import translated
from compress.core.regular_files import open_regular, parse_json, read_bytes
from compress.data.arrow import read_arrow
from compress.data.conll import conll_rows, looks_like_conll
from compress.data.delimited import read_delimited
from compress.data.packed import PACKED_SUFFIXES, unpack
from compress.data.table import Table, class_names, evenly, unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    Numbered = Iterator[tuple[int, dict[str, Any]]]
    """Rows, each with its number in the file."""

MAX_TEXT_BYTES = 2**30
"""Of a table that is read as text, which takes several times its size in memory; Parquet may be larger."""

MAX_CELL_BYTES = 2**28
"""Of some hundred decoded rows of a Parquet file: a dictionary may repeat one huge value in all of them."""

_BATCH = 256

CONLL_SUFFIXES = (".conll", ".conllu", ".iob", ".iob2", ".bio")
ARROW_SUFFIXES = (".arrow", ".feather")
TABLE_SUFFIXES = (
    *(".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".txt"), *ARROW_SUFFIXES, *CONLL_SUFFIXES
)  # fmt: skip
_TAGGED = "token-classification"


def is_table(path: Path) -> bool:
    """Whether a file is one of rows, by its suffix; compressed ones by the suffix within."""
    suffix = path.suffix.lower()
    if suffix in PACKED_SUFFIXES:
        return suffix == ".zip" or path.with_suffix("").suffix.lower() in TABLE_SUFFIXES
    return suffix in TABLE_SUFFIXES


def read_table(path: Path, *, task: str, limit: int | None = None) -> Table:
    """Read a file by its suffix; of a longer one, `limit` rows spread evenly.

    Raises:
        CompressError: the file cannot be read, has a row that cannot be read, or holds no row.
    """
    suffix = path.suffix.lower()
    if suffix in PACKED_SUFFIXES:
        name, data = unpack(path, suffixes=TABLE_SUFFIXES)
        return _read(path, path.with_name(name), data, task=task, limit=limit)
    return _read(path, path, None, task=task, limit=limit)


def _read(source: Path, path: Path, data: bytes | None, *, task: str, limit: int | None) -> Table:
    """Read the table called `path`, whose bytes are `data` where it was unpacked from `source`."""
    suffix = path.suffix.lower()
    if suffix not in TABLE_SUFFIXES:
        known = ", ".join((*TABLE_SUFFIXES, *PACKED_SUFFIXES))
        message = f"{source} is not a kind of data that can be read"
        raise CompressError("data-unsupported", message, hint=f"expected one of {known}, or a folder")
    if suffix == ".parquet":
        return replace(read_parquet([path], limit=limit, data=data), source=str(source))
    if suffix in ARROW_SUFFIXES:
        return replace(read_arrow([path], limit=limit, data=data), source=str(source))
    table = _text_table(path, _text(path) if data is None else _decoded(path, data), task=task)
    return replace(table, source=str(source)).spread(limit)


def _text_table(path: Path, text: str, *, task: str) -> Table:
    suffix = path.suffix.lower()
    unit = "row" if suffix == ".json" else "line"
    roles: Mapping[str, str] = {}
    notes: tuple[str, ...] = ()
    if _is_conll(suffix, text, task):
        numbered = list(conll_rows(path.name, text))
    elif suffix in (".csv", ".tsv"):
        delimited = read_delimited(path.name, text, tabs=suffix == ".tsv")
        numbered, roles, notes = delimited.rows, delimited.roles, delimited.notes
    else:
        numbered = list(_READERS[suffix](path, text))
    if not numbered:
        raise CompressError("data-empty", f"{path} holds no rows", hint="check the file")
    rows = tuple(row for _, row in numbered)
    return Table(
        source=str(path),
        names=tuple(dict.fromkeys(name for row in rows for name in row)),
        rows=rows,
        places=tuple(f"{path.name} {unit} {number}" for number, _ in numbered),
        folder=path.parent,
        roles=roles,
        notes=notes,
    )


def _is_conll(suffix: str, text: str, task: str) -> bool:
    if suffix == ".tsv" and task == _TAGGED:
        return looks_like_conll(text)
    return suffix in CONLL_SUFFIXES or (suffix == ".txt" and task == _TAGGED)


def read_parquet(paths: Sequence[Path], *, limit: int | None, data: bytes | None = None) -> Table:
    """Read the shards of one split; only the rows that are taken are decoded to Python.

    `data` are the bytes of the only shard, where it was unpacked.

    Raises:
        CompressError: a file is not parquet, or there is no row.
    """
    import pyarrow.parquet as pq

    hint = "mend the file, or name another"
    with translated("data-unreadable", f"{paths[0]} cannot be read", hint=hint):
        shards = [pq.ParquetFile(_opened(path, data)) for path in paths]
        counts = [_rows_of(shard, path) for shard, path in zip(shards, paths, strict=True)]
        wanted = set(evenly(sum(counts), limit))
        rows = [row for row in _parquet_rows(shards, wanted)]
        classes = class_names(shards[0].schema_arrow.metadata or {}, where=str(paths[0]))
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


def _opened(path: Path, data: bytes | None) -> Any:
    return open_regular(path, code="data-unreadable") if data is None else io.BytesIO(data)


def _rows_of(shard: Any, path: Path) -> int:
    """The number of rows that a Parquet file declares.

    Raises:
        ValueError: it is more than its bytes can hold: counts are what a bomb is made of.
    """
    rows, size = int(shard.metadata.num_rows), path.stat().st_size
    if not 0 <= rows <= max(10**6, 256 * size):
        raise ValueError(f"it declares {rows:,} rows in {size:,} bytes")
    return rows


def _text(path: Path) -> str:
    try:
        data = read_bytes(path, limit=MAX_TEXT_BYTES, code="data-unreadable")
    except OSError as error:
        raise unreadable(path, error) from None
    return _decoded(path, data)


def _decoded(path: Path, data: bytes) -> str:
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"{path.name} line {line} is not UTF-8"
        raise CompressError("data-unreadable", message, hint="save the file as UTF-8") from None


def _lines(text: str) -> list[str]:
    """Lines at any kind of line end, but at no other sign that Unicode takes for one."""
    return re.split(r"\r\n|\r|\n", text)


def _jsonl_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(_lines(text), start=1):
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
        values = list(_squad_rows(path, values))
    for number, value in enumerate(values, start=1):
        yield number, _mapping(value, f"{path.name} row {number}")


def _transposed(path: Path, columns: dict[str, Any]) -> list[dict[str, Any]]:
    lengths = {len(values) for values in columns.values() if isinstance(values, list)}
    if len(lengths) != 1 or not all(isinstance(values, list) for values in columns.values()):
        raise unreadable(path, ValueError("expected a list of rows, or columns of equal length"))
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _squad_rows(path: Path, articles: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """The rows of SQuAD's own nesting (Rajpurkar et al. 2016 and, without answers, 2018)."""
    try:
        for article in articles:
            for paragraph in article["paragraphs"]:
                for entry in paragraph["qas"]:
                    yield _squad_row(entry, str(paragraph["context"]))
    except (KeyError, TypeError, AttributeError) as error:
        message = f"it is not laid out as SQuAD is: {type(error).__name__} {error}"
        raise unreadable(path, ValueError(message)) from None


def _squad_row(entry: Mapping[str, Any], context: str) -> dict[str, Any]:
    row = {"question": entry["question"], "context": context}
    if entry.get("is_impossible"):
        return row | {"answers": [], "is_impossible": True}
    if "answers" not in entry:
        return row
    return row | {"answers": [answer["text"] for answer in entry["answers"]]}


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
    for number, line in enumerate(_lines(text), start=1):
        line = line.strip()
        if line and not re.fullmatch(r"=+ .* =+", line):
            yield number, {"text": line}


_READERS: dict[str, Callable[[Path, str], Numbered]] = {
    ".jsonl": _jsonl_rows,
    ".ndjson": _jsonl_rows,
    ".json": _json_rows,
    ".txt": _txt_rows,
}
