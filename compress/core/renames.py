"""Renames that replace nothing, that exchange two names, and that outlast a loss of power."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_AT_FDCWD = -100
_LINUX_FLAGS = {"new": 1, "exchange": 2}
"""`renameat2`: RENAME_NOREPLACE, RENAME_EXCHANGE."""
_MACOS_FLAGS = {"new": 4, "exchange": 2}
"""`renamex_np`: RENAME_EXCL, RENAME_SWAP."""
_UNSUPPORTED = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}


def rename_new(source: Path, target: Path) -> None:
    """Rename a folder to a name that nothing has.

    Raises:
        FileExistsError: There is something of that name.
    """
    if _rename(source, target, "new"):
        return
    # An empty folder claims the name: a rename replaces that alone, and fails once anything is in it.
    target.mkdir()
    try:
        source.rename(target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        target.rmdir()
        raise


def exchange(first: Path, second: Path) -> bool:
    """Exchange the names of two folders in one step; false where the system cannot, and nothing was done."""
    return _rename(first, second, "exchange")


def sync_tree(folder: Path) -> None:
    """Wait until all files and folders from `folder` down are on the disk."""
    paths = [folder, *folder.rglob("*")]
    with ThreadPoolExecutor(8) as pool:  # at once, since a journal writes what waits for it together
        list(pool.map(sync_path, paths))


def sync_path(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on the disk."""
    if path.is_symlink() or (os.name == "nt" and path.is_dir()):
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:  # some network file systems sync no folders
            raise
    finally:
        os.close(descriptor)


def _rename(source: Path, target: Path, kind: str) -> bool:
    """Rename with a flag; false where the system or the file system has none."""
    names = os.fsencode(source), os.fsencode(target)
    libc: Any = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None
    if sys.platform == "linux" and hasattr(libc, "renameat2"):
        code = libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _LINUX_FLAGS[kind])
    elif sys.platform == "darwin" and hasattr(libc, "renamex_np"):
        code = libc.renamex_np(*names, _MACOS_FLAGS[kind])
    else:
        return False
    if code == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number), str(target))
