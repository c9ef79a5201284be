"""What killed runs left in the cache, and all of it: removed, unless a running process uses it."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from compress.core.locks import attempt, own, own_abandoned
from compress.core.paths import is_part
from compress.core.publication import finished_name
from compress.core.seal import seal_path

if TYPE_CHECKING:
    from collections.abc import Iterator

WORK = ".work"
"""The ending of the folder in which a step keeps what it has finished, for the next run if it is killed."""

RUN = "run."
"""The beginning of a run's own folder."""

FOLDERS = (
    "steps",
    "gguf",
    "mxfp4",
    "language",
    "flat",
    "head",
    "tokenizers",
    "verdicts",
    "sampled",
    "layers",
    "failed",
)
"""What this tool puts into its cache."""

_RESUMED_S = 30 * 24 * 3600
"""How long the finished parts of a killed step wait for the run that goes on from them."""


def remove_litter(root: Path) -> None:
    """Remove what killed runs left below the cache `root`, but not what a next run goes on from."""
    for run in root.glob(f"{RUN}*"):
        _remove_abandoned(run)
    for part in files_below(root):
        if is_part(part) and WORK not in {path.suffix for path in part.parents}:
            _remove_abandoned(part)
    for parent in (root / name for name in FOLDERS if (root / name).is_dir()):
        owners = {_owner(path) for path in parent.iterdir()}
        for name in sorted(owner for owner in owners if owner is not None):
            _remove_leftovers(parent / name)


def files_below(root: Path) -> Iterator[Path]:
    """Every file below a folder that other processes may change meanwhile."""
    for folder, _, names in os.walk(root):
        yield from (Path(folder, name) for name in names)


def clean_folder(parent: Path) -> int:
    """Remove every folder of the cache below `parent` with what belongs to it.

    Returns:
        How many stay since a running process uses or makes them.
    """
    names = {_owner(path) or path.name.removesuffix(".seal") for path in parent.iterdir()}
    in_use = sum(not _clean(parent / name) for name in sorted(names))
    if not any(parent.iterdir()):
        parent.rmdir()
    return in_use


def _clean(folder: Path) -> bool:
    """Remove one folder of the cache; false if it is used."""
    with attempt(_lock_path(folder)) as free:
        hold = own(folder) if free else None
        if not free or (hold is None and folder.exists()):
            return False
        with hold or nullcontext():
            for path in (folder, *_belonging(folder), seal_path(folder)):
                _remove_unused(path)
    return True


def _remove_leftovers(folder: Path) -> None:
    """Remove what belongs to no folder any more, unless a process makes the folder just now."""
    with attempt(_lock_path(folder)) as free:
        if not free:
            return
        for path in _belonging(folder):
            if folder.is_dir() or not _is_resumed(path):
                _remove_unused(path)
        if not folder.is_dir():
            seal_path(folder).unlink(missing_ok=True)


def _is_resumed(path: Path) -> bool:
    """Whether a next run may go on from a folder: not where nobody came for it in a long time."""
    return path.suffix == WORK and time.time() - path.stat().st_mtime < _RESUMED_S


def _belonging(folder: Path) -> list[Path]:
    """What a process that made a folder had beside it."""
    paths = [path for path in folder.parent.iterdir() if path.suffix != ".lock"]
    return [path for path in paths if _owner(path) == folder.name]


def _owner(path: Path) -> str | None:
    """The name of the folder that something beside it belongs to; None for the folder and its seal."""
    for ending in (".lock", WORK):
        if path.name.endswith(ending):
            return path.name.removesuffix(ending)
    return finished_name(path.name)


def _lock_path(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _remove_unused(path: Path) -> None:
    """Remove a path; a folder that is not finished only if nobody is at work in it."""
    if finished_name(path.name):
        _remove_abandoned(path)
    else:
        _remove(path)


def _remove_abandoned(path: Path) -> None:
    hold = own_abandoned(path)
    if hold is not None:
        with hold:
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
