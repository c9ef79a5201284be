"""Folders that are complete or absent, whoever else writes beside them and whenever a run is killed."""

from __future__ import annotations

import glob
import re
import shutil
import tempfile
import warnings
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from compress.core.errors import CompressError
from compress.core.locks import own, own_abandoned
from compress.core.paths import refuse_existing, unwritable
from compress.core.renames import exchange, rename_new, sync_path, sync_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from compress.core.locks import Hold

_UNFINISHED = ".compress-"
"""In the names of folders that are not finished, which are hidden and beside the finished ones."""

_OLD = "old"
"""In such a folder: the artifact that was moved away for a new one."""


@contextmanager
def published(
    target: Path, *, replace: bool = False, note: Callable[[str], None] = warnings.warn
) -> Iterator[Path]:
    """Make a new folder beside `target`, renamed to it when the block ends well, and gone otherwise.

    All of it is on the disk before it gets its name. With `replace` the two folders exchange their names
    in one step where the system can, so that a kill leaves the old or the new one. Once the folder has
    its name nothing fails any more: who is told of a failure can run again without `replace`.

    Args:
        target: The folder's name in the end.
        replace: Whether an artifact that is there may be replaced.
        note: Says a sentence to the user.

    Yields:
        The new folder, to be filled.

    Raises:
        CompressError: `target` exists (also if it was made meanwhile) and `replace` is false, cannot be
            written, or the disk is full.
    """
    refuse_existing(target, replace=replace)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(target)
        beside, hold = new_folder(f".{target.name}{_UNFINISHED}", target.parent)
    except OSError as error:
        raise unwritable(target, error) from None
    try:
        yield beside
        beside.chmod(0o755)
        sync_tree(beside)
        _put(beside, target, replace=replace)
    except OSError as error:
        raise unwritable(target, error) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        hold.release()
    _sync_name(target, note)


def finished_name(name: str) -> str | None:
    """The name that a folder was to get, from that which it has while it is not finished; else None."""
    found = re.fullmatch(rf"\.(.+){re.escape(_UNFINISHED)}[a-z0-9_]{{8}}", name)
    return found[1] if found else None


def remove_abandoned(target: Path) -> None:
    """Remove the folders beside `target` that killed runs left; an artifact that one had moved away, to
    put a new one in its place, gets its name again.
    """
    for folder in target.parent.glob(f".{glob.escape(target.name)}{_UNFINISHED}*"):
        if finished_name(folder.name) != target.name:
            continue
        with own_abandoned(folder) or nullcontext() as hold:
            if hold is None:
                continue
            if (folder / _OLD).is_dir() and not target.exists():
                rename_new(folder / _OLD, target)
            shutil.rmtree(folder, ignore_errors=True)


def new_folder(prefix: str, parent: Path) -> tuple[Path, Hold]:
    """Make a folder that is this process's own, as others can see, until the hold is released."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        hold = own(folder)
        if hold is not None:  # else one who looked for abandoned folders was faster
            return folder, hold


def _put(beside: Path, target: Path, *, replace: bool) -> None:
    """Rename `beside` to `target`; with `replace` what was there is removed, if it may be.

    Raises:
        CompressError: there is something at `target` that may not be replaced.
    """
    while True:
        try:
            rename_new(beside, target)
            return
        except FileExistsError:
            refuse_existing(target, replace=replace)
        if _replace(beside, target):
            return


def _sync_name(target: Path, note: Callable[[str], None]) -> None:
    """Wait until the name of a finished folder is on the disk; say so where the disk does not confirm it."""
    try:
        sync_path(target.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        note(f"{target} is complete, but a loss of power now may undo its name: {reason}")


def _replace(beside: Path, target: Path) -> bool:
    """Put `beside` in the place of the artifact `target`; false if that is gone by now.

    Raises:
        CompressError: what was there turned out to be no artifact; it is there again.
    """
    try:
        exchanged = exchange(beside, target)
    except FileNotFoundError:
        return False
    if not exchanged:
        return _move_away(beside, target)
    try:
        refuse_existing(beside, replace=True)
    except CompressError:  # made between the look at it and the exchange
        exchange(beside, target)
        refuse_existing(target, replace=True)
        raise
    return True


def _move_away(beside: Path, target: Path) -> bool:
    """Replace `target` in two steps. `remove_abandoned` undoes the first where the second never came."""
    folder, hold = new_folder(f".{target.name}{_UNFINISHED}", target.parent)
    with hold:
        try:
            target.rename(folder / _OLD)
        except FileNotFoundError:
            return False
        finally:
            if not (folder / _OLD).exists():
                shutil.rmtree(folder, ignore_errors=True)
        rename_new(beside, target)
        shutil.rmtree(folder, ignore_errors=True)
    return True
