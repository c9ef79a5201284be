"""Digests of files and folders that a later run reads again, so that damage is seen and never used.

A folder `NAME` has its seal in `NAME.seal` beside it: size and sha256 of every file. A file `NAME` has
its own in `.NAME.sum`. The seal is written before what it seals gets its name, so that whatever a kill
or a loss of power leaves is either whole or seen not to be.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from compress.core.errors import CompressError
from compress.core.paths import file_digest, whole_file
from compress.core.regular_files import read_json, read_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_READ_ONLY = 0o444


def seal_path(folder: Path) -> Path:
    """Where the seal of a folder is."""
    return folder.with_name(f"{folder.name}.seal")


def seal(folder: Path, *, name: Path) -> None:
    """Make the files of a folder read-only and write their sizes and digests beside `name`, which the
    folder will be renamed to.
    """
    entries = _entries(folder)
    files = {path: {"bytes": size, "sha256": _digest(folder / path)} for path, size in entries.items()}
    for path in entries:
        if not (folder / path).is_symlink():
            (folder / path).chmod(_READ_ONLY)
    with whole_file(seal_path(name)) as part:
        part.write_text(json.dumps({"files": files}, indent=1), encoding="utf8")


def is_sealed(folder: Path) -> bool:
    """Whether a folder holds the files of its seal, byte by byte, and nothing else."""
    try:
        files = read_json(seal_path(folder))["files"]
        sizes = {path: entry["bytes"] for path, entry in files.items()}
        if _entries(folder) != sizes:
            return False
        return all(_digest(folder / path) == entry["sha256"] for path, entry in files.items())
    except (CompressError, OSError, KeyError, TypeError, AttributeError):
        return False


def _digest(path: Path) -> str:
    """The sha256 of a file; of a link that of where it leads, since what lies there is another's."""
    if path.is_symlink():
        return hashlib.sha256(os.readlink(path).encode(errors="surrogateescape")).hexdigest()
    return file_digest(path)


@contextmanager
def resume_point(path: Path) -> Iterator[Path]:
    """Write a file that a later run goes on from: as `whole_file`, and with its digest beside it.

    The digest of the file that is replaced stays valid, since a kill may leave that one. Nothing waits
    for the disk: after a loss of power the digest tells what is whole.
    """
    with whole_file(path, durable=False) as part:
        yield part
        digests = [file_digest(part), *([file_digest(path)] if path.exists() else [])]
        with whole_file(_sum_path(path), durable=False) as written:
            written.write_text("\n".join(digests), encoding="utf8")


def is_whole(path: Path) -> bool:
    """Whether a file that `resume_point` wrote is there as it was written."""
    try:
        digests = read_text(_sum_path(path)).splitlines()
        return stat.S_ISREG(path.lstat().st_mode) and file_digest(path) in digests
    except (CompressError, OSError):
        return False


def is_resumable(folder: Path) -> bool:
    """Whether every file below `folder` is whole; unfinished parts are removed."""
    whole = True
    for path in sorted(folder.rglob("*")):
        if path.name.endswith(".part"):
            path.unlink()
        elif not path.is_dir() and not path.name.endswith(".sum"):
            whole = whole and is_whole(path)
    return whole


def remove_resume_point(path: Path) -> None:
    """Remove a file that `resume_point` wrote, and its digest."""
    path.unlink(missing_ok=True)
    _sum_path(path).unlink(missing_ok=True)


def _sum_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.sum")


def _entries(folder: Path) -> dict[str, int]:
    """Sizes of all files below `folder` by path; -1 for what is no regular file."""
    found: dict[str, int] = {}
    for root, folders, files in os.walk(folder):
        for name in (*files, *(name for name in folders if os.path.islink(os.path.join(root, name)))):
            path = os.path.join(root, name)
            facts = os.lstat(path)
            size = facts.st_size if stat.S_ISREG(facts.st_mode) else -1
            found[os.path.relpath(path, folder).replace(os.sep, "/")] = size
    return found
