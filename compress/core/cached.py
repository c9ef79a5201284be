"""A folder of the cache: made by one process at a time, sealed, and looked at before each use."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from compress.core.locks import exclusive, use
from compress.core.publication import published
from compress.core.seal import is_sealed, seal, seal_path

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from compress.core.locks import Hold

    Make = Callable[[Path, int], None]


class Momentary(str):
    """A line about this run alone, such as that it waits for another: not one to repeat in the next."""

    __slots__ = ()


def take(
    folder: Path,
    make: Make,
    *,
    name: str,
    note: Callable[[str], None],
    finish: Callable[[], None] = lambda: None,
) -> Hold:
    """Return a folder of the cache for use, as it was made by an earlier run or made now.

    Of several processes that ask at once one makes the folder and the others wait for it. The lock is
    the system's, so that it goes with the process that holds it.

    Args:
        folder: The folder. `FOLDER.lock` and `FOLDER.seal` beside it belong to it.
        make: Fills a new folder, which is renamed to `folder`; it is given the lock's descriptor, too,
            for child processes to inherit.
        name: What the folder holds, for messages.
        note: Says a sentence to the user.
        finish: Called once the folder is there, before other processes go on.

    Returns:
        A hold that keeps `compress cache clean` from removing the folder until it is released.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    hold = use_whole(folder)
    while hold is None:
        lock = folder.with_name(f"{folder.name}.lock")
        with exclusive(
            lock, waiting=lambda: note(Momentary(f"another run makes {name}: waiting for it"))
        ) as held:
            hold = use_whole(folder)  # another process may have made it meanwhile
            if hold is None:
                _make(folder, make, held, name=name, note=note)
                hold = use(folder)
            finish()
    return hold


def use_whole(folder: Path) -> Hold | None:
    """Hold a folder that `take` made in an earlier run.

    Returns:
        The hold; None where there is no such folder, or a file in it is not as it was written.
    """
    hold = use(folder)
    if hold is not None and not is_sealed(folder):
        hold.release()
        return None
    return hold


def _make(folder: Path, make: Make, held: int, *, name: str, note: Callable[[str], None]) -> None:
    if folder.exists() or folder.is_symlink():
        if seal_path(folder).exists():
            note(Momentary(f"cached {name} is damaged: made again"))
        _remove(folder)
    with published(folder, note=note) as beside:
        make(beside, held)
        seal(beside, name=folder)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
