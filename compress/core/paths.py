"""Folders that are either absent or complete, and digests of what is in them."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

from compress.core.errors import CompressError
from compress.core.links import stays_inside
from compress.core.locks import own
from compress.core.renames import sync_path
from compress.core.storage import full_or_broken
from compress.core.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from compress.core.locks import Hold

MANIFEST = "compress.json"
"""The file by which a published artifact is known."""


def file_digest(path: Path) -> str:
    """The sha256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def folder_files(folder: Path) -> list[Path]:
    """Every file below `folder`, as sorted paths relative to it."""
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def folder_digest(folder: Path, names: Iterable[Path] | None = None) -> str:
    """The sha256 over the names and digests of the files in `folder` (or of those named)."""
    digest = hashlib.sha256()
    for name in folder_files(folder) if names is None else sorted(names):
        digest.update(f"{name.as_posix()}\0{file_digest(folder / name)}\n".encode())
    return digest.hexdigest()


def contained(folder: Path, name: str) -> Path:
    """Find `name` inside `folder`.

    Raises:
        CompressError: The name leads out of the folder (`..`, absolute, or through a link), or is none.
    """
    path = folder / name
    if not stays_inside(folder, path):
        message = f"'{visible(name)}' leads out of {folder}"
        raise CompressError("path-escapes", message, hint="do not trust this model's files")
    return path


def is_part(path: Path) -> bool:
    """Whether a file is one that `whole_file` had begun, by its name."""
    return re.fullmatch(r"\..+\.[0-9a-f]{8}\.part", path.name) is not None


def _new_part(target: Path) -> tuple[Path, Hold]:
    """An empty file beside `target` that is this process's own, as those see who look for litter."""
    while True:
        part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        part.touch(exist_ok=False)
        hold = own(part)
        if hold is not None:  # else one of them was faster
            return part, hold


@contextmanager
def whole_file(target: Path, *, durable: bool = True) -> Iterator[Path]:
    """A path beside `target` to write to, renamed to `target` when the block ends well, and gone otherwise.

    Args:
        target: The file; folders above are made.
        durable: Whether to wait until its bytes are on the disk before it gets its name.

    Yields:
        A path of this process's own: several may write the same file, and each that reads finds all of one.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part, hold = _new_part(target)
    try:
        with hold:
            yield part
            if durable:
                sync_path(part)
            part.replace(target)
        if durable:
            sync_path(target.parent)
    finally:
        part.unlink(missing_ok=True)


def refuse_existing(target: Path, *, replace: bool) -> None:
    """Refuse an output that is there already; look at this before any long work.

    Even with `replace`, only what this tool published (or an empty folder) is replaced.

    Raises:
        CompressError: `target` exists and may not be replaced.
    """
    if not target.exists():
        return
    ours = target.is_dir() and ((target / MANIFEST).exists() or not any(target.iterdir()))
    if not (replace and ours):
        message = f"{target} exists already" + ("" if ours else f" and is no artifact (no {MANIFEST})")
        hint = "pass --overwrite" if ours and not replace else "name another folder with --out"
        raise CompressError("output-exists", message, hint=hint)


def refuse_unwritable(target: Path) -> None:
    """Refuse an output that could not be written at the end; look at this before any long work.

    Raises:
        CompressError: what is to hold it is no folder, or may not be written.
    """
    parent = next(folder for folder in target.absolute().parents if folder.exists())
    if not parent.is_dir():
        raise unwritable(target, NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)))
    if not os.access(parent, os.W_OK | os.X_OK):
        raise unwritable(target, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))


def unwritable(target: Path, error: OSError) -> CompressError:
    """The error for an output that cannot be written, with what the system said."""
    disk = full_or_broken(target, error)
    if disk is not None:
        return disk
    reason = error.strerror or str(error)
    return CompressError(
        "output-unwritable", f"cannot write {target}: {reason}", hint="choose a folder that you own"
    )
