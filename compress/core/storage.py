"""Disks that are full or broken: told in one line whichever library noticed, and looked at before work."""

from __future__ import annotations

import errno
import os
import re
import shutil
from typing import TYPE_CHECKING

from compress.core.errors import CompressError
from compress.core.units import human_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NO_SPACE, DISK_FAULT = "no-space", "disk-fault"
"""Codes of errors that end a run, whichever step met them: no other candidate would fare better."""

_FULL = {errno.ENOSPC, errno.EDQUOT}
_NUMBERS = "|".join(str(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EIO))
_WORDS = re.compile(
    rf"(?P<full>{os.strerror(errno.ENOSPC)}|{os.strerror(errno.EDQUOT)})"
    rf"|{os.strerror(errno.EIO)}|PytorchStreamWriter failed"
    rf"|\(os error ({_NUMBERS})\)"
)
"""What remains of the system's error where a library raises its own: safetensors, tokenizers and torch."""


def disk_error(error: BaseException) -> CompressError | None:
    """Find the full or broken disk behind an error.

    Args:
        error: What was raised, with its causes.

    Returns:
        The error to show, which names the file where it is known; None where the disk is not the cause.
    """
    for cause in _causes(error):
        if isinstance(cause, CompressError) and cause.code in (NO_SPACE, DISK_FAULT):
            return cause
        if isinstance(cause, OSError) and cause.errno in (*_FULL, errno.EIO):
            return _of_system(cause)
        words = None if isinstance(cause, OSError) else _WORDS.search(str(cause))
        if words:
            return _full("") if words["full"] else _broken("", words[0])
    return None


def full_or_broken(path: object, error: OSError) -> CompressError | None:
    """The error for a path whose disk is full or broken; None for other reasons."""
    if error.errno in _FULL:
        return _full(f" for {path}")
    if error.errno == errno.EIO:
        return _broken(f" at {path}", os.strerror(errno.EIO))
    return None


def refuse_full(folder: Path, needed: int, *, name: str, hint: str) -> None:
    """Refuse work whose result has no room on its disk; look at this before the work.

    Args:
        folder: Where the result goes; it need not exist yet.
        needed: Bytes that it takes, as far as can be told before.
        name: What needs them, for the message.
        hint: What the user can do.

    Raises:
        CompressError: Fewer bytes are free.
    """
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        message = f"{name} needs about {human_bytes(needed)} in {folder}, {human_bytes(free)} are free"
        raise CompressError(NO_SPACE, message, hint=hint)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error, what it was raised from, and what was handled when it was raised."""
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or following.__context__


def _of_system(error: OSError) -> CompressError:
    path = error.filename2 or error.filename
    found = full_or_broken(path, error) if path else None
    if found is not None:
        return found
    return _full("") if error.errno in _FULL else _broken("", os.strerror(errno.EIO))


def _full(where: str) -> CompressError:
    hint = "free some disk space (`compress cache clean`), or set COMPRESS_CACHE and TMPDIR to another disk"
    return CompressError(NO_SPACE, f"no space left{where}", hint=f"{hint}; finished steps are kept")


def _broken(where: str, reason: str) -> CompressError:
    hint = "check the disk and run again: finished steps are kept, and what is damaged is made again"
    return CompressError(DISK_FAULT, f"the disk failed{where}: {reason}", hint=hint)
