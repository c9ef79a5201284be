"""Locks of files and folders (flock), which the system releases when the process that holds them dies.

A lock is a property of an open descriptor: nothing is left to break after a crash, and a child that
inherits the descriptor keeps the lock until it has ended, too.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType


class Hold:
    """A folder or a file that this process uses; others can see that until it is released."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        """Let others have it; a second call does nothing."""
        if self._descriptor < 0:
            return
        os.close(self._descriptor)
        self._descriptor = -1

    def keep(self) -> None:
        """Hold it until this process ends."""
        self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def __del__(self) -> None:
        self.release()


@contextmanager
def exclusive(path: Path, *, waiting: Callable[[], None]) -> Iterator[int]:
    """Hold the lock file `path` alone while the block runs; the file is gone afterwards.

    Args:
        path: The lock file; it is created.
        waiting: Called once where another process holds the lock, before this one waits for it.

    Yields:
        The descriptor. A child that inherits it keeps the lock even if this process is killed.
    """
    descriptor = _locked(path, waiting)
    try:
        yield descriptor
    finally:
        path.unlink(missing_ok=True)  # still locked, so that nobody else holds the file that goes
        os.close(descriptor)


@contextmanager
def attempt(path: Path) -> Iterator[bool]:
    """Hold the lock file `path` alone while the block runs, if nobody holds it: whether that succeeded."""
    try:
        descriptor = _locked(path, _refuse)
    except BlockingIOError:
        yield False
        return
    try:
        yield True
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def use(path: Path) -> Hold | None:
    """Hold a folder or a file together with others who use it.

    Returns:
        The hold; None where there is no such path, or it was removed or exchanged meanwhile.
    """
    return _hold(path, shared=True)


def own(path: Path) -> Hold | None:
    """Hold a folder or a file alone.

    Returns:
        The hold; None where another process uses it, or there is no such path.
    """
    return _hold(path, shared=False)


def own_abandoned(path: Path) -> Hold | None:
    """Hold what a process that has ended left behind, to remove it.

    Returns:
        The hold; None where a process uses it, or the file system cannot tell.
    """
    return _hold(path, shared=False, certain=True)


def _hold(path: Path, *, shared: bool, certain: bool = False) -> Hold | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return None
    hold = Hold(descriptor)
    locked = _lock(descriptor, shared=shared, wait=shared)
    if locked is False or (certain and locked is None) or not _is_same(path, descriptor):
        hold.release()
        return None
    return hold


def _refuse() -> None:
    raise BlockingIOError


def _locked(path: Path, waiting: Callable[[], None]) -> int:
    """The descriptor of a lock file that is held: of the file that has the name now, since the one before
    may have been removed while this process waited for it.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if _lock(descriptor, shared=False, wait=False) is False:
                waiting()
                _lock(descriptor, shared=False, wait=True)
            if _is_same(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock(descriptor: int, *, shared: bool, wait: bool) -> bool | None:
    """Lock an open file: whether that succeeded; None where the file system has no locks."""
    if sys.platform == "win32":
        return None
    operation = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(descriptor, operation if wait else operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # network file systems lock no folders
        return None
    return True


def _is_same(path: Path, descriptor: int) -> bool:
    """Whether `path` is still the name of the open file."""
    try:
        named = path.stat()
    except OSError:
        return False
    return os.path.samestat(named, os.fstat(descriptor))
