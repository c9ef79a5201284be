"""The nodes and tensors with which quantized products and look-ups are written.

Products are written in the standard operators that ONNX Runtime fuses into one kernel when it loads a
graph (DynamicQuantizeMatMul, or MatMulIntegerToFloat where several products read one input), so that
other runtimes can read them too. Why not the fused operators: they gave the same times.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, helper

from compress.graph.edit import MICROSOFT

if TYPE_CHECKING:
    from onnx import NodeProto

    from compress.graph.edit import Editor
    from compress.numerics.grid import Grid
    from compress.numerics.pack import Packed


@dataclass(frozen=True, kw_only=True)
class Quantized:
    """An activation in 8 bits: the names of its uint8 codes, its scale and its zero point."""

    codes: str
    scale: str
    zero: str


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """A constant (K, N) in 8 bits: the names of its codes, of its scale (one for each column, or one)
    and of its zero points; an empty name stands for zero points of 0.
    """

    codes: str
    scale: str
    zero: str = ""


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """The names under which a packed matrix is stored, and the matrix itself."""

    packed: Packed
    data: str
    scale: str
    zero: str


def quantize_activation(editor: Editor, x: str) -> tuple[Quantized, NodeProto]:
    """Quantize float32 `x` to uint8 by the range that it has when the graph runs."""
    names = [editor.fresh(f"{x}_{part}") for part in ("codes", "scale", "zero")]
    node = helper.make_node("DynamicQuantizeLinear", [x], names)
    return Quantized(codes=names[0], scale=names[1], zero=names[2]), node


def store_matrix(editor: Editor, codes: np.ndarray, grid: Grid, hint: str) -> Matrix:
    """Add 8-bit codes (N, K), on a grid with one row for each output channel or one for all, as (K, N)."""
    per_channel = len(grid.scale) > 1
    scale, zero = (part.ravel() if per_channel else part.reshape(()) for part in (grid.scale, grid.zero))
    return Matrix(
        codes=editor.add(codes.T, f"{hint}_codes"),
        scale=editor.add(scale, f"{hint}_scale"),
        zero=editor.add(zero.astype(codes.dtype), f"{hint}_zero") if zero.any() else "",
    )


def integer_product(editor: Editor, x: Quantized, matrix: Matrix, y: str) -> list[NodeProto]:
    """`y` float32 = x @ matrix: products of codes summed in int32, then both scales."""
    total, real, scale = (editor.fresh(f"{y}_{part}") for part in ("int32", "float", "scale"))
    inputs = [x.codes, matrix.codes, x.zero, *([matrix.zero] if matrix.zero else [])]
    return [
        helper.make_node("MatMulInteger", inputs, [total]),
        helper.make_node("Cast", [total], [real], to=TensorProto.FLOAT),
        helper.make_node("Mul", [x.scale, matrix.scale], [scale]),
        helper.make_node("Mul", [real, scale], [y]),
    ]


def store_blocks(editor: Editor, packed: Packed, hint: str, *, rows: bool = False) -> Blocks:
    """Add a packed matrix to the graph: as MatMulNBits wants it, or (`rows`) as rows without padding.

    Scales that are exact in fp16 are stored so, and widened by the runtime while it loads the graph.
    """
    data = editor.add(packed.rows if rows else packed.data, f"{hint}_q{packed.bits}")
    scale = store_scale(editor, packed.scale, f"{hint}_scales")
    zero = "" if packed.zero is None else editor.add(packed.zero, f"{hint}_zeros")
    return Blocks(packed=packed, data=data, scale=scale, zero=zero)


def store_scale(editor: Editor, scale: np.ndarray, name: str) -> str:
    """Add scales float32; those that are exact in fp16 are stored so, and widened when a graph is loaded."""
    with np.errstate(over="ignore"):
        half = scale.astype(np.float16)
    if np.array_equal(half.astype(np.float32), scale):
        return editor.derive("Cast", [editor.add(half, f"{name}_fp16")], name, to=TensorProto.FLOAT)
    return editor.add(scale, name)


def block_product(blocks: Blocks, x: str, y: str, *, accuracy_level: int) -> NodeProto:
    """`y` = x @ matrix.T for a packed (N, K) matrix, in ONNX Runtime's MatMulNBits."""
    packed = blocks.packed
    return helper.make_node(
        "MatMulNBits",
        [x, blocks.data, blocks.scale, *([blocks.zero] if blocks.zero else [])],
        [y],
        domain=MICROSOFT,
        K=packed.columns,
        N=len(packed.data),
        bits=packed.bits,
        block_size=packed.block_size,
        accuracy_level=accuracy_level,
    )


def block_gather(blocks: Blocks, gather: NodeProto) -> NodeProto:
    """Rows of a packed (V, H) table that was stored by rows, in ONNX Runtime's GatherBlockQuantized.

    Its kernel is fast for uint8 data alone (int4 and uint4 took 15 times as long for 4,096 look-ups).
    """
    return helper.make_node(
        "GatherBlockQuantized",
        [blocks.data, gather.input[1], blocks.scale, *([blocks.zero] if blocks.zero else [])],
        [gather.output[0]],
        name=gather.name,
        domain=MICROSOFT,
        bits=blocks.packed.bits,
        block_size=blocks.packed.block_size,
    )


def row_gather(editor: Editor, codes: str, scale: str, gather: NodeProto) -> list[NodeProto]:
    """Rows of a table int8 (V, H) with `scale` (V, 1), in standard operators."""
    y, indices = gather.output[0], gather.input[1]
    picked, real, factor = (editor.fresh(f"{y}_{part}") for part in ("codes", "float", "scale"))
    return [
        helper.make_node("Gather", [codes, indices], [picked]),
        helper.make_node("Cast", [picked], [real], to=TensorProto.FLOAT),
        helper.make_node("Gather", [scale, indices], [factor]),
        helper.make_node("Mul", [real, factor], [y]),
    ]
