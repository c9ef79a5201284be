"""Read compressed streams up to a limit: a megabyte of gzip may stand for a gigabyte of zeros."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compress.core.errors import CompressError
from compress.core.foreign import translated

if TYPE_CHECKING:
    from typing import BinaryIO

MAX_DECOMPRESSED_BYTES = 2**30

_STEP = 2**20


def read_decompressed(
    stream: BinaryIO, *, where: str, code: str, limit: int = MAX_DECOMPRESSED_BYTES
) -> bytes:
    """Read a stream that decompresses as it is read (of gzip, zstandard or a zip's member) to its end.

    Args:
        stream: What decompresses, such as `gzip.open(...)` or `ZipFile.open(...)`.
        where: The file's name, for errors.
        code: The error's code.
        limit: The most bytes that it may give.

    Raises:
        CompressError: It gives more, or is damaged.
    """
    content = bytearray()
    while len(content) <= limit:
        with translated(code, f"{where} cannot be decompressed", hint="download it again"):
            part = stream.read(_STEP)
        if not part:
            return bytes(content)
        content += part
    message = f"{where} decompresses to more than {limit:,} bytes"
    raise CompressError(code, message, hint="this is not what such a file holds: check it")
