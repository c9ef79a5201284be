"""Read files that a stranger may have made: regular ones alone, of a bounded size and depth.

A named pipe in place of `config.json` blocks whoever opens it, `/dev/zero` never ends, a sparse file
of some gigabytes fills the memory, and JSON of a hundred thousand brackets exhausts the stack. Every
file of a model, of data or of an artifact is opened here, so that each of these is one line instead.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

MAX_JSON_BYTES = 48 * 2**20
"""More than the largest tokenizer.json in use (33 MB); parsing takes about ten times as much memory."""

MAX_CONFIG_BYTES = 16 * 2**20
"""For settings, which people write: the largest `config.json` in use has some 100 KB."""

MAX_JSON_DEPTH = 64
"""Levels of nesting; configurations and tokenizers in use have fewer than 16."""

MAX_JSON_CONTAINERS = 4_000_000
"""Lists and mappings in one document: a vocabulary has one for each of at most a million entries, and an
empty one takes twenty times the memory that it takes in the file.
"""


def open_regular(path: Path, *, code: str = "file-invalid") -> BinaryIO:
    """Open a regular file for reading, in binary.

    The kind is looked at on the open descriptor, so that the file cannot be exchanged in between, and
    opening does not wait for the other end of a pipe.

    Args:
        path: The file; symbolic links are followed.
        code: The error's code.

    Returns:
        The open stream.

    Raises:
        FileNotFoundError: There is no such file.
        CompressError: It is no regular file, or the system cannot open it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise _unreadable(path, error, code) from None
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        message = f"{path} is a {_kind(mode)}, expected a regular file"
        raise CompressError(code, message, hint="replace it with the file itself")
    return os.fdopen(descriptor, "rb")


def read_bytes(path: Path, *, limit: int = MAX_JSON_BYTES, code: str = "file-invalid") -> bytes:
    """Read a whole regular file of at most `limit` bytes.

    Raises:
        FileNotFoundError: There is no such file.
        CompressError: It is no regular file, is larger, or cannot be read.
    """
    with open_regular(path, code=code) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > limit:
            message = f"{path} has {size:,} bytes, expected at most {limit:,}"
            raise CompressError(code, message, hint="this is not what such a file holds: check it")
        try:
            return stream.read(limit)
        except OSError as error:
            raise _unreadable(path, error, code) from None


def read_text(path: Path, *, limit: int = MAX_JSON_BYTES, code: str = "file-invalid") -> str:
    """Read a whole regular file of at most `limit` bytes as UTF-8; a byte-order mark is left out.

    Raises:
        FileNotFoundError: There is no such file.
        CompressError: It is no regular file, is larger, cannot be read, or is not UTF-8.
    """
    try:
        return read_bytes(path, limit=limit, code=code).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"{path} is not UTF-8 ({error.reason} at byte {error.start})"
        raise CompressError(code, message, hint="save it as UTF-8") from None


def read_json(path: Path, *, limit: int = MAX_JSON_BYTES, code: str = "file-invalid") -> Any:
    """Parse a regular JSON file of at most `limit` bytes and `MAX_JSON_DEPTH` levels.

    Raises:
        FileNotFoundError: There is no such file.
        CompressError: It is no regular file, is larger, deeper, or is not JSON.
    """
    return parse_json(read_text(path, limit=limit, code=code), where=str(path), code=code)


def parse_json(text: str, *, where: str, code: str) -> Any:
    """Parse JSON of at most `MAX_JSON_DEPTH` levels; `where` names its place in errors.

    Raises:
        CompressError: It is not JSON, is nested deeper, or has too many parts.
    """
    containers = text.count("[") + text.count("{")
    if containers > MAX_JSON_CONTAINERS:
        message = f"{where} has {containers:,} lists and mappings, expected at most {MAX_JSON_CONTAINERS:,}"
        raise CompressError(code, message, hint="this is not what such a file holds: check it")
    try:
        value = json.loads(text)
    except RecursionError:
        raise _too_deep(where, code) from None
    except ValueError as error:
        message = f"{where} cannot be read as JSON: {str(error).splitlines()[0]}"
        raise CompressError(code, message, hint="copy it from the original") from None
    if _is_deeper(value, MAX_JSON_DEPTH):
        raise _too_deep(where, code)
    if "\\ud" in text.lower() and not _is_text(value):
        message = f"{where} has half of a character (an escape such as \\ud800 alone)"
        raise CompressError(code, message, hint="copy it from the original")
    return value


def _is_text(value: Any) -> bool:
    """Whether all strings can be written as UTF-8: escapes of JSON can make halves of surrogate pairs."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether a parsed document has more than `levels` levels of lists and mappings."""
    layer = [value]
    for _ in range(levels):
        nested: list[Any] = []
        for container in layer:
            if isinstance(container, dict):
                nested += [child for child in container.values() if isinstance(child, (dict, list))]
            elif isinstance(container, list):
                nested += [child for child in container if isinstance(child, (dict, list))]
        if not nested:
            return False
        layer = nested
    return True


def _too_deep(where: str, code: str) -> CompressError:
    message = f"{where} is nested deeper than {MAX_JSON_DEPTH} levels"
    return CompressError(code, message, hint="this is not what such a file holds: check it")


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFDIR: "folder",
        stat.S_IFIFO: "named pipe",
        stat.S_IFSOCK: "socket",
        stat.S_IFCHR: "device",
        stat.S_IFBLK: "device",
    }
    return kinds.get(stat.S_IFMT(mode), "special file")


def _unreadable(path: Path, error: Exception, code: str) -> CompressError:
    # A socket cannot be opened at all, and the system's word for that ("No such device") does not help.
    kind = ""
    if isinstance(error, OSError) and error.errno == errno.ENXIO:
        kind = "it is a socket, expected a regular file"
    reason = kind or getattr(error, "strerror", None) or str(error)
    return CompressError(code, f"cannot read {path}: {reason}", hint="check the file")
