"""GGUF headers, read and checked before a library believes them.

The format (version 2 and 3, little endian): magic, version, numbers of tensors and of keys; the keys, each a
name, a type and a value; the tensors, each a name, dimensions, a type and an offset; padding; the tensors'
bytes. The reference reader makes as many objects as the counts say, whatever the file holds.
"""

from __future__ import annotations

import math
import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError
from compress.core.regular_files import open_regular

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

MAX_KEYS = 2**16
MAX_TENSORS = 2**17
MAX_ELEMENTS = 2**22
"""Of an array: four million; the largest vocabularies have a quarter of a million tokens."""
MAX_STRING_BYTES = 2**24
MAX_DIMENSIONS = 4
MAX_DEPTH = 4
"""Of arrays in arrays."""
MAX_ALIGNMENT = 2**16

_SCALARS = {0: "B", 1: "b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "?", 10: "<Q", 11: "<q", 12: "<d"}
"""Value types to the formats of `struct`."""
_STRING, _ARRAY = 8, 9
_ALIGNMENT = "general.alignment"


@dataclass(frozen=True)
class GgufTensor:
    """One tensor as its file declares it; `start` counts from the end of the header."""

    shape: tuple[int, ...]
    type: int
    start: int


@dataclass(frozen=True)
class GgufHeader:
    """Keys with the scalars and strings that they hold (of arrays: their number of elements), and tensors."""

    values: dict[str, Any]
    tensors: dict[str, GgufTensor]


def read_gguf_header(path: Path) -> GgufHeader:
    """Read and check the header of a GGUF file.

    Raises:
        CompressError: It is no regular file or not GGUF, a count, length, type or dimension is not what the
            file can hold, or a tensor leaves the file.
    """
    with open_regular(path, code="gguf-invalid") as stream:
        reader = _Reader(path, stream)
        header = reader.header()
        _check_tensors(path, header, reader.position, reader.size)
    return header


class _Reader:
    """A cursor over the header that knows where the file ends."""

    def __init__(self, path: Path, stream: BinaryIO) -> None:
        self.position = 0
        self.size = os.fstat(stream.fileno()).st_size
        self._path, self._stream = path, stream

    def header(self) -> GgufHeader:
        """Everything before the tensors' bytes."""
        if self._bytes(4) != b"GGUF":
            raise CompressError("gguf-invalid", f"{self._path} is not a GGUF file", hint="download it again")
        version = self._number("<I")
        if version not in (2, 3):
            raise self._invalid(f"version {version}, expected 2 or 3, little endian")
        tensors = self._count("<Q", MAX_TENSORS, "tensors")
        keys = self._count("<Q", MAX_KEYS, "keys")
        return GgufHeader(self._values(keys), self._tensors(tensors))

    def _values(self, count: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for _ in range(count):
            name = self._string()
            if name in values:
                raise self._invalid(f"the key '{name}' twice")
            values[name] = self._value(self._number("<I"), MAX_DEPTH)
        return values

    def _tensors(self, count: int) -> dict[str, GgufTensor]:
        tensors: dict[str, GgufTensor] = {}
        for _ in range(count):
            name = self._string()
            if name in tensors:
                raise self._invalid(f"the tensor '{name}' twice")
            dimensions = self._count("<I", MAX_DIMENSIONS, f"dimensions of '{name}'")
            shape = tuple(self._number("<Q") for _ in range(dimensions))
            tensors[name] = GgufTensor(shape, self._number("<I"), self._number("<Q"))
        return tensors

    def _value(self, kind: int, depth: int) -> Any:
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            return self._array(depth)
        if kind not in _SCALARS:
            raise self._invalid(f"a value of type {kind}")
        return self._number(_SCALARS[kind])

    def _array(self, depth: int) -> int:
        kind = self._number("<I")
        count = self._count("<Q", MAX_ELEMENTS, "elements of an array")
        if depth == 0:
            raise self._invalid("arrays in arrays in arrays")
        if kind in _SCALARS:
            self._bytes(count * struct.calcsize(_SCALARS[kind]))
        else:
            for _ in range(count):
                self._value(kind, depth - 1)
        return count

    def _string(self) -> str:
        try:
            return self._bytes(self._count("<Q", MAX_STRING_BYTES, "bytes of a string")).decode("utf8")
        except UnicodeDecodeError:
            raise self._invalid("a string that is not UTF-8") from None

    def _count(self, form: str, limit: int, noun: str) -> int:
        count = int(self._number(form))
        if count > limit:
            raise self._invalid(f"{count:,} {noun}, expected at most {limit:,}")
        return count

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._bytes(struct.calcsize(form)))[0]

    def _bytes(self, count: int) -> bytes:
        if count > self.size - self.position:
            raise self._invalid(f"truncated: {count:,} bytes are declared at byte {self.position:,}")
        self.position += count
        return self._stream.read(count)

    def _invalid(self, found: str) -> CompressError:
        return _invalid(self._path, found)


def _check_tensors(path: Path, header: GgufHeader, end: int, size: int) -> None:
    """Refuse tensors whose bytes are not all in the file."""
    alignment = header.values.get(_ALIGNMENT, 32)
    valid = isinstance(alignment, int) and 0 < alignment <= MAX_ALIGNMENT and not alignment & (alignment - 1)
    if not valid:
        raise _invalid(path, f"an alignment of {alignment}, expected a power of two")
    held = size - -(-end // alignment) * alignment
    sizes = _type_sizes()
    for name, tensor in header.tensors.items():
        if tensor.type not in sizes:
            raise _invalid(path, f"tensor '{name}' of type {tensor.type}")
        block, block_bytes = sizes[tensor.type]
        count = math.prod(tensor.shape)
        if not count or tensor.shape[0] % block or tensor.start + count // block * block_bytes > held:
            message = (
                f"tensor '{name}' of shape {list(tensor.shape)} at byte {tensor.start:,}, of {held:,} bytes"
            )
            raise _invalid(path, message)


def _type_sizes() -> dict[int, tuple[int, int]]:
    """By type of tensor: elements of a block, and its bytes."""
    from gguf.constants import GGML_QUANT_SIZES

    return {int(kind): sizes for kind, sizes in GGML_QUANT_SIZES.items()}


def _invalid(path: Path, found: str) -> CompressError:
    return CompressError("gguf-invalid", f"{path.name} holds {found}", hint="download it again")
