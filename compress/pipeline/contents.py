"""Where the bytes of a model are, and how many of its weights are zero: for `inspect`."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from compress.core.artifact import GRAPH_NAME
from compress.graph.components import component_by_name
from compress.model.headers import BITS, read_header
from compress.model.safety import weight_files

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from compress.model.headers import TensorHeader

_CHUNK = 1 << 26
"""Bytes that are looked at in one go."""

_NAMES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32",
    "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool", "F8_E4M3": "float8e4m3",
    "F8_E5M2": "float8e5m2",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Part:
    """Tensors of one component and dtype. `zeros` is None where they were not counted."""

    component: str
    dtype: str
    size_bytes: int
    elements: int | None = None
    zeros: int | None = None

    @property
    def sparsity(self) -> float | None:
        """The share of elements that are exactly zero."""
        return None if self.zeros is None or not self.elements else self.zeros / self.elements


def checkpoint_parts(folder: Path) -> list[Part]:
    """The parts of a checkpoint, the largest first. Every weight is read once, none is kept.

    Raises:
        CompressError: the weights are missing or damaged.
    """
    found: dict[tuple[str, str], np.ndarray] = defaultdict(lambda: np.zeros(3, dtype=np.int64))
    for path in weight_files(folder):
        start = _data_start(path)
        for name, tensor in read_header(path).items():
            counts = (tensor.end - tensor.start, tensor.elements, zeros(path, start, tensor))
            component = component_by_name(name) or "other"
            found[component, _NAMES.get(tensor.dtype, tensor.dtype.lower())] += counts
    return _sorted(
        Part(component=component, dtype=dtype, size_bytes=int(size), elements=int(count), zeros=int(none))
        for (component, dtype), (size, count, none) in found.items()
    )


def _data_start(path: Path) -> int:
    with path.open("rb") as stream:
        return 8 + int.from_bytes(stream.read(8), "little")


def artifact_parts(folder: Path) -> tuple[list[Part], dict[str, int]]:
    """The parts of an artifact's graph, the largest first, and its operators by number.

    Raises:
        CompressError: the graph is missing or is no ONNX file.
    """
    from compress.graph.census import census
    from compress.graph.io import read_graph

    found = census(read_graph(folder / GRAPH_NAME))
    parts = [
        Part(component=name, dtype=dtype, size_bytes=size) for (name, dtype), size in found.bytes.items()
    ]
    return _sorted(parts), dict(sorted(found.operators.items(), key=lambda item: -item[1]))


def zeros(path: Path, start: int, tensor: TensorHeader) -> int:
    """How many elements of a tensor are exactly zero; `start` is where the file's data begins.

    Counted on the bits, so that no dtype needs arithmetic: a float is zero when all but its sign are.
    """
    if not tensor.elements:  # nothing can be mapped
        return 0
    width = BITS[tensor.dtype] // 8
    signed = tensor.dtype.startswith(("F", "BF"))
    mask = (1 << (8 * width - 1)) - 1 if signed else (1 << (8 * width)) - 1
    words = np.memmap(path, dtype=f"<u{width}", mode="r", offset=start + tensor.start, shape=tensor.elements)
    step = _CHUNK // width
    return sum(
        int(np.count_nonzero((words[first : first + step] & words.dtype.type(mask)) == 0))
        for first in range(0, tensor.elements, step)
    )


def _sorted(parts: Iterable[Part]) -> list[Part]:
    return sorted(parts, key=lambda part: (-part.size_bytes, part.component, part.dtype))
