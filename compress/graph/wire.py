"""Read protobuf's wire format by field numbers, without its schema and without copying what is skipped.

Why not `onnx.load`: it reads a file whole, weights that lie inside it among them, needs a package that
devices which only run graphs lack, and leaves out what its schema does not know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from mmap import mmap

    Buffer = bytes | memoryview | mmap

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 10


def fields(data: Buffer, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Iterate over the fields of a message that hold bytes: texts, packed numbers and nested messages.

    Args:
        data: The file's bytes.
        start: Where the message begins.
        end: Where it ends, exclusive.

    Yields:
        A field's number, and where its bytes begin and end. Numbers are stepped over: their field number
        comes with an empty range.

    Raises:
        ValueError: The bytes are no message.
    """
    while start < end:
        key, start = _varint(data, start, end)
        kind = key & 7
        length = 0
        if kind == _VARINT:
            _, start = _varint(data, start, end)
        elif kind == _BYTES:
            length, start = _varint(data, start, end)
        elif kind in (_FIXED64, _FIXED32):
            start += 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {kind}, expected 0, 1, 2 or 5")
        if start + length > end:
            raise ValueError("a field reaches past the end of its message")
        yield key >> 3, start, start + length
        start += length


def _varint(data: Buffer, start: int, end: int) -> tuple[int, int]:
    """Read a number of seven bits a byte, the lowest first; returns it and where it ends."""
    value = shift = 0
    for position in range(start, min(end, start + _LONGEST_VARINT)):
        byte = data[position]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position + 1
        shift += 7
    raise ValueError("a number does not end")
