"""Packed codes as constants of a graph, read from a quantized checkpoint when the graph is saved."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from compress.core.errors import CompressError
from compress.numerics.regroup import SMALLEST, block_size, to_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from compress.decoder.rows import Source
    from compress.model.quantized import QuantizedCheckpoint
    from compress.numerics.pack import Packed


@dataclass(frozen=True)
class Stored:
    """The names of codes, scales and (where there are any) zero points in a graph, and their form."""

    inputs: tuple[str, ...]
    bits: int
    block_size: int


class Codes:
    """Writes matrices of a checkpoint into a graph, each once."""

    def __init__(self, checkpoint: QuantizedCheckpoint) -> None:
        """Look at the layouts.

        Raises:
            CompressError: a group size has no blocks that the runtime could multiply.
        """
        for name, layout in checkpoint.layouts.items():
            if not block_size(layout.shape[1], layout.group_size):
                message = f"'{name}' has groups of {layout.group_size} columns"
                hint = f"use a multiple of {SMALLEST}, a power of two for the fastest kernels"
                raise CompressError("group-size-unsupported", message, hint=hint)
        self._checkpoint = checkpoint
        self._stored: dict[tuple[Source, ...], Stored] = {}
        self.packed = lru_cache(maxsize=1)(self._pack)

    def form(self, name: str) -> tuple[int, int, int]:
        """Bits and columns of the blocks in which a matrix is stored, and columns of its groups."""
        layout = self._checkpoint.layouts[name]
        size = block_size(layout.shape[1], layout.group_size)
        return (4 if layout.bits <= 4 else 8, size, layout.group_size)

    def stored(self, model: Any, sources: tuple[Source, ...], hint: str) -> Stored:
        """Add the codes of rows to the graph that the builder `model` makes, unless they are there."""
        if sources not in self._stored:
            self._stored[sources] = self._store(model, sources, hint)
        return self._stored[sources]

    def _store(self, model: Any, sources: tuple[Source, ...], hint: str) -> Stored:
        bits, size, _ = self.form(sources[0].name)
        rows = sum(source.stop - source.start for source in sources)
        count = -(-self._checkpoint.layouts[sources[0].name].shape[1] // size)
        self._add(model, f"{hint}.qweight", sources, _data, np.uint8, (rows, count, size * bits // 8))
        scales = f"{hint}.scales"
        if self._is_half(sources):
            # Half of the bytes.
            self._add(model, f"{scales}_fp16", sources, _half_scale, np.float16, (rows, count))
            widen(model, scales, (rows, count))
        else:
            self._add(model, scales, sources, _scale, np.float32, (rows, count))
        names = [f"{hint}.qweight", scales]
        if not self._is_centred(sources, 1 << (bits - 1)):
            names.append(f"{hint}.qzeros")
            self._add(model, names[-1], sources, _zero, np.uint8, (rows, -(-count * bits // 8)))
        return Stored(tuple(names), bits, size)

    def _add(
        self,
        model: Any,
        name: str,
        sources: tuple[Source, ...],
        part: Callable[[Packed], np.ndarray],
        dtype: type[np.generic],
        shape: tuple[int, ...],
    ) -> None:
        add_lazily(model, name, lambda: part(self.packed(sources)), dtype, shape)

    def _pack(self, sources: tuple[Source, ...]) -> Packed:
        """Rows of matrices, one after another, in blocks."""
        matrices = [self._checkpoint.matrix(source.name) for source in sources]
        rows = [slice(source.start, source.stop) for source in sources]
        codes, scales, zeros = (
            np.concatenate([getattr(one, part)[cut].numpy() for one, cut in zip(matrices, rows, strict=True)])
            for part in ("codes", "scales", "zeros")
        )
        bits, _, group_size = self.form(sources[0].name)
        return to_blocks(codes, scales, zeros, bits=bits, group_size=group_size)

    def _joined(self, sources: Sequence[Source], part: str) -> np.ndarray:
        """Scales or zero points (rows, G) of rows."""
        parts = [
            self._checkpoint.tensor(f"{source.name}.{part}")[source.start : source.stop].numpy()
            for source in sources
        ]
        return np.concatenate(parts)

    def _is_half(self, sources: Sequence[Source]) -> bool:
        scales = self._joined(sources, "scales")
        with np.errstate(over="ignore"):
            return bool((scales.astype(np.float16).astype(np.float32) == scales).all())

    def _is_centred(self, sources: Sequence[Source], middle: int) -> bool:
        return bool((self._joined(sources, "zeros") == middle).all())


def add_lazily(
    model: Any, name: str, read: Callable[[], np.ndarray], dtype: type[np.generic], shape: tuple[int, ...]
) -> None:
    """Add a constant to the graph that the builder `model` makes; `read` gives it when it is saved."""

    def tensor() -> ir.Tensor:
        return ir.Tensor(np.ascontiguousarray(read(), dtype), name=name)

    kind = ir.DataType.from_numpy(np.dtype(dtype))
    model.make_initializer(ir.LazyTensor(tensor, dtype=kind, shape=ir.Shape(shape), name=name), name)


def widen(model: Any, scales: str, shape: tuple[int, ...]) -> None:
    """Scales in fp32 from the constant `{scales}_fp16`: the runtime does it while it loads the graph."""
    model.make_node("Cast", [f"{scales}_fp16"], [scales], name=f"/{scales}", to=ir.DataType.FLOAT)
    model.make_value(scales, ir.DataType.FLOAT, shape=list(shape))


def _data(packed: Packed) -> np.ndarray:
    return packed.data


def _scale(packed: Packed) -> np.ndarray:
    return packed.scale.astype(np.float32)


def _half_scale(packed: Packed) -> np.ndarray:
    return packed.scale.astype(np.float16)


def _zero(packed: Packed) -> np.ndarray:
    assert packed.zero is not None
    return packed.zero
