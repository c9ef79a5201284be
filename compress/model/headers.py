"""Safetensors headers, read and checked without reading a weight.

The format: 8 bytes little-endian header length, that many bytes of JSON, then the tensors' bytes.
A file from the Hub is a stranger's: every length and shape in it is checked before it is believed.
"""

from __future__ import annotations

import math
import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError
from compress.core.regular_files import MAX_JSON_BYTES, open_regular, parse_json

if TYPE_CHECKING:
    from pathlib import Path

MAX_HEADER_BYTES = MAX_JSON_BYTES
"""Half of the reference implementation's limit, and room for some 300,000 tensors: a header cannot be used to
exhaust memory."""

MAX_DIMENSIONS = 16

BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "I16": 16, "U16": 16,
    "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64,
}  # fmt: skip


@dataclass(frozen=True)
class TensorHeader:
    """One tensor as its file declares it; `start` and `end` count from the end of the header."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def elements(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)


def read_header(path: Path) -> dict[str, TensorHeader]:
    """The tensors that a safetensors file declares, by name.

    Raises:
        CompressError: the file is truncated, its header is too large or not JSON, a shape does not
            fit its bytes, or tensors overlap or leave gaps.
    """
    with open_regular(path, code="safetensors-invalid") as stream:
        size = os.fstat(stream.fileno()).st_size
        prefix = stream.read(8)
        length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else -1
        if not 2 <= length <= MAX_HEADER_BYTES:
            found = f"a header of {length} bytes" if length >= 0 else f"a file of {size} bytes"
            raise _invalid(path, f"found {found}, expected 2 to {MAX_HEADER_BYTES}")
        if 8 + length > size:
            raise _invalid(path, f"truncated: the header needs {8 + length} bytes, the file has {size}")
        written = _parse(path, stream.read(length))
    tensors = {name: _tensor(path, name, value) for name, value in written.items()}
    _check_layout(path, tensors, data_bytes=size - 8 - length)
    return tensors


def _parse(path: Path, header: bytes) -> dict[str, Any]:
    try:
        written = parse_json(header.decode("utf8"), where="the header", code="safetensors-invalid")
    except (UnicodeDecodeError, CompressError):
        raise _invalid(path, "the header is not JSON, or is nested too deeply") from None
    if not isinstance(written, dict):
        raise _invalid(path, "the header is not a mapping")
    written.pop("__metadata__", None)
    return written


def _tensor(path: Path, name: str, value: Any) -> TensorHeader:
    try:
        dtype, shape = value["dtype"], tuple(value["shape"])
        start, end = value["data_offsets"]
        bits = BITS[dtype]
        counts = (*shape, start, end)
        well_formed = len(shape) <= MAX_DIMENSIONS and all(map(_is_count, counts))
    except (TypeError, KeyError, ValueError):
        raise _invalid(path, f"tensor '{name}' is described wrongly") from None
    if not well_formed or math.prod(shape) * bits != (end - start) * 8:
        message = f"tensor '{name}' of shape {list(shape)} and {dtype} does not fit bytes {start}:{end}"
        raise _invalid(path, message)
    return TensorHeader(dtype, shape, start, end)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _check_layout(path: Path, tensors: dict[str, TensorHeader], *, data_bytes: int) -> None:
    expected = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end)):
        if tensor.start != expected:
            raise _invalid(path, f"tensor '{name}' starts at byte {tensor.start}, expected {expected}")
        expected = tensor.end
    if expected != data_bytes:
        kind = "truncated" if expected > data_bytes else "trailing bytes"
        raise _invalid(path, f"{kind}: tensors need {expected} bytes, the file holds {data_bytes}")


def _invalid(path: Path, reason: str) -> CompressError:
    return CompressError(
        "safetensors-invalid", f"{path.name}: {reason}", hint="download or save the model again"
    )
