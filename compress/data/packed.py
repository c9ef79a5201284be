"""Unpack compressed data files in memory: gz, zst, bz2, xz and zip, within limits.

A few kilobytes of a compressed file can stand for gigabytes of zeros. Real tables shrink three- to
twentyfold, so whatever expands further than that is refused before it fills the memory.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import zipfile
import zlib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO

from compress.core.errors import CompressError
from compress.core.regular_files import open_regular
from compress.core.visible import visible
from compress.data.hub import preferred_split

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

STREAM_SUFFIXES = (".gz", ".zst", ".bz2", ".xz")
PACKED_SUFFIXES = (*STREAM_SUFFIXES, ".zip")

MAX_BYTES = 2 * 2**30
"""Of one unpacked file."""
FREE_BYTES = 64 * 2**20
"""May be unpacked whatever they were packed in."""
MAX_RATIO = 100
"""Unpacked over packed bytes, beyond `FREE_BYTES`."""
MAX_MEMBERS = 10_000
"""Of an archive."""
_CHUNK = 2**20
_FAULTS = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError)


def unpack(path: Path, *, suffixes: Sequence[str]) -> tuple[str, bytes]:
    """Unpack the one table that a compressed file holds.

    Args:
        path: The file; its suffix is one of `PACKED_SUFFIXES`.
        suffixes: Suffixes of members that are tables.

    Returns:
        The name of the table and its bytes.

    Raises:
        CompressError: The file is damaged, expands beyond the limits, or an archive holds no table, or
            several of which none is the held-out split.
    """
    with open_regular(path, code="data-unreadable") as stream:
        limit = min(unpacked_limit(os.fstat(stream.fileno()).st_size), MAX_BYTES)
        try:
            if path.suffix.lower() == ".zip":
                return _member(path, stream, suffixes, limit)
            unpacked = _decompressed(stream, path.suffix.lower())
            return path.with_suffix("").name, _read(unpacked, path, limit)
        except _FAULTS as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            message = f"{path} cannot be unpacked: {reason}"
            raise CompressError("data-unreadable", message, hint="copy the file again") from None


def unpacked_limit(packed_bytes: int) -> int:
    """Limit the bytes that may come of so many packed ones."""
    return max(FREE_BYTES, MAX_RATIO * packed_bytes)


def _decompressed(stream: BinaryIO, suffix: str) -> Any:
    """Open the stream of unpacked bytes; who opened `stream` closes it."""
    if suffix == ".zst":
        import pyarrow

        return pyarrow.CompressedInputStream(pyarrow.PythonFile(stream), "zstd")
    if suffix == ".gz":
        return gzip.GzipFile(fileobj=stream)
    return bz2.BZ2File(stream) if suffix == ".bz2" else lzma.LZMAFile(stream)


def _read(stream: Any, path: Path, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while chunk := stream.read(_CHUNK):
        size += len(chunk)
        if size > limit:
            message = f"{path} unpacks to more than {limit:,} bytes"
            raise CompressError("data-unreadable", message, hint="unpack it, if this is what you expect")
        parts.append(chunk)
    return b"".join(parts)


def _member(path: Path, stream: BinaryIO, suffixes: Sequence[str], limit: int) -> tuple[str, bytes]:
    with zipfile.ZipFile(stream) as archive:
        members = archive.infolist()
        if len(members) > MAX_MEMBERS:
            message = f"{path} holds {len(members):,} files, expected a table"
            raise CompressError("data-unreadable", message, hint="unpack it and name the folder")
        name = _table_name(path, [member.filename for member in members], suffixes)
        member = next(member for member in members if member.filename == name)
        if member.flag_bits & 1:
            message = f"{path}: {visible(name)} is encrypted"
            raise CompressError("data-unreadable", message, hint="unpack it with its password")
        with archive.open(member) as opened:
            return PurePosixPath(name).name, _read(opened, path, limit)


def _table_name(path: Path, names: Sequence[str], suffixes: Sequence[str]) -> str:
    shown = [name for name in names if not _is_hidden(PurePosixPath(name))]
    tables = {PurePosixPath(name).stem: name for name in shown if name.lower().endswith(tuple(suffixes))}
    chosen = preferred_split(tables)
    if len(tables) == 1 or chosen is not None:
        return tables[chosen] if chosen is not None else next(iter(tables.values()))
    listed = visible(", ".join(sorted(tables.values())[:8]))
    held = f"several tables: {listed}" if tables else f"no table ({', '.join(suffixes)})"
    hint = "unpack it and name the file or the folder"
    raise CompressError("data-missing" if tables else "data-empty", f"{path} holds {held}", hint=hint)


def _is_hidden(name: PurePosixPath) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in name.parts)
