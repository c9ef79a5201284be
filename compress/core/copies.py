"""Copies of files: a user's never share anything that an edit could reach."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

from compress.core.paths import folder_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    Add = Callable[[Path, Path], None]

_FICLONE = 0x40049409
"""The request of Linux by which a file shares another's blocks until one of them is written."""
_CHUNK = 1 << 20


def add_missing(source: Path, target: Path, *, add: Add, skip: Iterable[str] = ()) -> None:
    """Add to the folder `target` each file of `source` that it lacks, by `add`."""
    skipped = set(skip)
    for name in folder_files(source):
        if name.as_posix() in skipped or (target / name).exists():
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        add(source / name, target / name)


def link_or_copy(source: Path, target: Path) -> None:
    """Give the bytes of a file that nobody edits a second name; a copy where there are no hard links.

    For files of this tool's cache alone: see `clone_or_copy`.
    """
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)


def clone_or_copy(source: Path, target: Path) -> None:
    """Copy a file, sharing its blocks where the file system can: later edits of either stay apart."""
    with source.open("rb") as reader, target.open("wb") as writer:
        if not _clone(reader.fileno(), writer.fileno()):
            shutil.copyfileobj(reader, writer, _CHUNK)


def _clone(source: int, target: int) -> bool:
    """Let an open file share another's blocks (reflink); false where that cannot be."""
    if sys.platform != "linux":
        return False
    import fcntl

    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:  # another file system, or one without it
        return False
    return True
