"""Folders of images or sound files, with class folders or a table of labels beside them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError
from compress.core.media_files import open_picture, refuse_sound
from compress.data.table import Table, evenly
from compress.data.tables import read_table

if TYPE_CHECKING:
    from collections.abc import Sequence

SUFFIXES = {
    "image": frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"}),
    "audio": frozenset({".wav", ".flac", ".ogg", ".mp3"}),
}
_TABLES = tuple(
    f"{stem}.{suffix}" for stem in ("metadata", "labels") for suffix in ("csv", "tsv", "jsonl", "parquet")
)


def media_files(folder: Path, modality: str) -> list[Path]:
    """The images or sound files anywhere below `folder`, sorted, hidden ones left out."""
    suffixes = SUFFIXES.get(modality, frozenset())
    found = (path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.is_file())
    return sorted(path for path in found if not any(part.startswith(".") for part in path.parts[-2:]))


def read_media(folder: Path, *, modality: str, task: str, limit: int | None) -> Table:
    """The files of a folder with their labels: from a table in it, else from its subfolders' names.

    Raises:
        CompressError: there is no such file, or one is not what its suffix says.
    """
    written = next((folder / name for name in _TABLES if (folder / name).is_file()), None)
    if written is not None:
        return read_table(written, task=task, limit=limit)
    files = media_files(folder, modality)
    if not files:
        message = f"{folder} holds no {modality} files"
        hint = f"expected {', '.join(sorted(SUFFIXES[modality]))}, also in class folders"
        raise CompressError("data-empty", message, hint=hint)
    chosen = [files[index] for index in evenly(len(files), limit)]
    return _folder_table(folder, chosen, modality)


def refuse_unreadable(rows: Sequence[dict[str, Any]], modality: str) -> None:
    """Look at the header of every file, so that a bad one is told before any long work.

    Raises:
        CompressError: naming the first file that is not an image or a sound.
    """
    for number, row in enumerate(rows, start=1):
        value = row[modality]
        try:
            _open_header(value, modality)
        except CompressError as error:
            if isinstance(value, Path):
                raise
            place = f"{modality} {number} of the table"
            raise CompressError(error.code, f"{place}: {error.message}", hint=error.hint) from None


def spilled(rows: Sequence[dict[str, Any]], modality: str, folder: Path) -> list[dict[str, Any]]:
    """The rows with their bytes written to files in `folder`, named by content, and a path instead."""
    folder.mkdir(parents=True, exist_ok=True)
    changed = []
    for row in rows:
        data = row[modality]
        if isinstance(data, bytes):
            path = folder / hashlib.sha256(data).hexdigest()
            path.write_bytes(data)
            row = row | {modality: path}
        changed.append(row)
    return changed


def _open_header(source: Path | bytes, modality: str) -> None:
    if modality == "image":
        open_picture(source).close()
    else:
        refuse_sound(source)


def _folder_table(folder: Path, files: Sequence[Path], modality: str) -> Table:
    names = [path.relative_to(folder) for path in files]
    classes = all(len(name.parts) > 1 for name in names)
    rows: list[dict[str, Any]] = [{modality: name.as_posix()} for name in names]
    origin = {modality: "files of the folder"}
    if classes:
        rows = [row | {"label": name.parts[-2]} for row, name in zip(rows, names, strict=True)]
        origin["label"] = "names of the subfolders"
    return Table(
        source=str(folder),
        names=tuple(rows[0]),
        rows=tuple(rows),
        places=tuple(str(path) for path in files),
        folder=folder,
        origin=origin,
    )
