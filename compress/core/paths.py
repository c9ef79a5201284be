"""Folders that are either absent or complete, and digests of what is in them."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from compress.core.errors import CompressError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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
    """The path of `name` inside `folder`.

    Raises:
        CompressError: the name leads out of the folder (`..`, absolute, or through a link).
    """
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        message = f"'{name}' leads out of {folder}"
        raise CompressError("path-escapes", message, hint="do not trust this model's files")
    return path


def link_missing(source: Path, target: Path, *, skip: Iterable[str] = ()) -> None:
    """Add to `target` each file of `source` that it lacks, by hard link where possible."""
    skipped = set(skip)
    for name in folder_files(source):
        if name.as_posix() in skipped or (target / name).exists():
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        link_or_copy(source / name, target / name)


def link_or_copy(source: Path, target: Path) -> None:
    """Give `source`'s bytes a second name; a copy where the file system has no hard links."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """A path beside `target` to write to, renamed to `target` when the block ends well, and gone otherwise: a
    run that finds the file finds all of it. Folders above are made.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    try:
        yield part
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def published(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """A new folder beside `target`, renamed to it when the block ends well, and gone otherwise.

    Raises:
        CompressError: `target` exists and `replace` is false, cannot be written, or the disk is full.
    """
    refuse_existing(target, replace=replace)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise unwritable(target, error) from None
    try:
        yield beside
        beside.chmod(0o755)
        _swap(beside, target)
    except OSError as error:
        raise unwritable(target, error) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


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
    if error.errno == errno.ENOSPC:
        return CompressError("no-space", f"no space left for {target}", hint="free some disk space")
    reason = error.strerror or str(error)
    return CompressError(
        "output-unwritable", f"cannot write {target}: {reason}", hint="choose a folder that you own"
    )


def _swap(beside: Path, target: Path) -> None:
    """Rename `beside` to `target`; an old `target` is moved away first, since a rename on top of a
    folder that is not empty fails.
    """
    if not target.exists():
        beside.rename(target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent)) / "old"
    target.rename(old)
    beside.rename(target)
    shutil.rmtree(old.parent, ignore_errors=True)
