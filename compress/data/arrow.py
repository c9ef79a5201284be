"""Tables in Arrow's own formats: `.arrow` and `.feather` files, and folders of `Dataset.save_to_disk`."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from compress.core.errors import CompressError
from compress.core.foreign import translated
from compress.core.regular_files import open_regular, read_json
from compress.data.packed import unpacked_limit
from compress.data.table import Table, class_names, evenly

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

STATE = "state.json"
SPLITS = "dataset_dict.json"


_Schema = TypeVar("_Schema", bound=BaseModel)


class _File(BaseModel):
    model_config = ConfigDict(extra="ignore")

    filename: str


class _State(BaseModel):
    """What `Dataset.save_to_disk` writes beside its shards."""

    model_config = ConfigDict(extra="ignore")

    data_files: list[_File]


class _Splits(BaseModel):
    """What `DatasetDict.save_to_disk` writes."""

    model_config = ConfigDict(extra="ignore")

    splits: list[str]


def read_saved(folder: Path, *, limit: int | None) -> Table | None:
    """Read a folder of `Dataset.save_to_disk`; None where it is not one.

    Raises:
        CompressError: a shard is missing or damaged, or there is no row.
    """
    shards = saved_shards(folder)
    if shards is None:
        return None
    table = read_arrow(shards, limit=limit)
    return replace(table, source=str(folder), folder=folder)


def read_arrow(paths: Sequence[Path], *, limit: int | None, data: bytes | None = None) -> Table:
    """Read Arrow streams or files with one schema, one after the other.

    `data` are the bytes of the only one, where it was unpacked.

    Raises:
        CompressError: a file is missing or not Arrow's, or there is no row.
    """
    opened = []
    with translated("data-unreadable", f"{paths[0]} cannot be read", hint="mend the file, or name another"):
        for path in paths:
            schema, batches = arrow_batches(path if data is None else data)
            opened.append((schema, list(batches)))
        parts = [batch for _, batches in opened for batch in batches]
        wanted = set(evenly(sum(len(part) for part in parts), limit))
        rows = tuple(spread_rows(parts, wanted))
    if not rows:
        raise CompressError("data-empty", f"{paths[0]} holds no rows", hint="check the file")
    schema = opened[0][0]
    return Table(
        source=str(paths[0]),
        names=tuple(schema.names),
        rows=rows,
        places=tuple(f"{paths[0].name} row {number + 1}" for number in sorted(wanted)),
        folder=paths[0].parent,
        classes=class_names(schema.metadata or {}, where=str(paths[0])),
    )


def saved_splits(folder: Path) -> dict[str, Path] | None:
    """List the folders of a saved `DatasetDict` by split; None where `folder` is not one.

    Raises:
        CompressError: Its list of splits is damaged or leads out of the folder.
    """
    if not (folder / SPLITS).is_file():
        return None
    written = read_json(folder / SPLITS, code="data-unreadable")
    names = _validated(_Splits, written, folder / SPLITS).splits
    return {name: _inside(folder, name) for name in names}


def saved_shards(folder: Path) -> list[Path] | None:
    """List the shards of a saved `Dataset` in their order; None where `folder` is not one.

    Raises:
        CompressError: Its list of shards is damaged, empty or leads out of the folder.
    """
    if not (folder / STATE).is_file():
        return None
    written = read_json(folder / STATE, code="data-unreadable")
    files = written.get("_data_files") if isinstance(written, dict) else None
    state = _validated(_State, {"data_files": files}, folder / STATE)
    if not state.data_files:
        raise CompressError("data-empty", f"{folder} lists no shards", hint="save the data set again")
    return [_inside(folder, file.filename) for file in state.data_files]


def arrow_batches(source: Path | bytes) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Open an Arrow stream or file.

    Returns:
        The schema, and the record batches, each validated before it is handed out.

    Raises:
        CompressError: The file is no regular one.
        OSError, ValueError: The bytes are not Arrow's.
    """
    import pyarrow as pa

    stream = io.BytesIO(source) if isinstance(source, bytes) else open_regular(source, code="data-unreadable")
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    if stream.read(6) == b"ARROW1":
        reader = pa.ipc.open_file(stream)
        batches = (reader.get_batch(number) for number in range(reader.num_record_batches))
        return reader.schema, _valid(batches, size)
    stream.seek(0)
    reader = pa.ipc.open_stream(stream)
    return reader.schema, _valid(reader, size)


def _valid(batches: Any, size: int) -> Iterator[pa.RecordBatch]:
    """Hand out batches that can be read and that a file of `size` bytes may hold.

    Rows are counted, too: a column of nulls takes no bytes however many they are.

    Raises:
        ValueError: One cannot, or there are more rows or bytes than that.
    """
    rows = held = 0
    for batch in batches:
        rows, held = rows + len(batch), held + batch.nbytes
        if held > unpacked_limit(size):
            raise ValueError(f"it unpacks to more than {unpacked_limit(size):,} bytes")
        if rows > max(10**6, 256 * size):
            raise ValueError(f"it holds {rows:,} rows or more in {size:,} bytes")
        # Offsets that point outside of a buffer would be followed by whoever reads the batch.
        batch.validate(full=True)
        yield batch


def _inside(folder: Path, name: str) -> Path:
    if not name or PurePath(name).is_absolute() or ".." in PurePath(name).parts:
        message = f"{folder}: '{name}' leads out of the folder"
        raise CompressError("path-escapes", message, hint="save the data set again")
    return folder / name


def _validated(kind: type[_Schema], values: object, path: Path) -> _Schema:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "its content"
        message = f"{path}: {where}: {first['msg'].lower()}"
        raise CompressError("data-unreadable", message, hint="save the data set again") from None


def spread_rows(batches: Sequence[pa.RecordBatch], wanted: set[int]) -> Iterator[dict[str, Any]]:
    """Yield the rows at the positions `wanted`, counted over all batches."""
    start = 0
    for batch in batches:
        inside = [index - start for index in range(start, start + len(batch)) if index in wanted]
        if inside:
            yield from batch.take(inside).to_pylist()
        start += len(batch)
