"""One quantized table for the look-ups and the output layer of a model that ties them.

A row of the table (V, H) is an output channel of the product, so both can use one scale, and the other
layout is derived when a runtime loads the graph: the file holds the numbers once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from compress.graph.linear import lower
from compress.graph.quantized import Matrix, block_gather, block_product, row_gather, store_blocks

if TYPE_CHECKING:
    from onnx import NodeProto

    from compress.graph.edit import Editor
    from compress.graph.quantized import Blocks
    from compress.graph.tables import Table
    from compress.numerics.grid import Grid
    from compress.numerics.pack import Packed


def share_rows(editor: Editor, table: Table, codes: np.ndarray, grid: Grid) -> Matrix:
    """Look `table` up in int8 `codes` (V, H) on a grid of V rows; returns the same as a (H, V) matrix."""
    stored = editor.add(codes, f"{table.name}_codes")
    by_row = editor.add(grid.scale, f"{table.name}_row_scale")  # (V, 1)
    for gather in table.gathers:
        editor.replace(gather, row_gather(editor, stored, by_row, gather))
    return Matrix(
        codes=editor.derive("Transpose", [stored], f"{table.name}_columns", perm=[1, 0]),
        scale=editor.add(grid.scale.ravel(), f"{table.name}_scale"),
    )


def share_blocks(editor: Editor, table: Table, packed: Packed, *, accuracy_level: int) -> None:
    """Look `table` up in packed blocks (V, H), and multiply by the same blocks in MatMulNBits."""
    blocks = store_blocks(editor, packed, table.name)
    rows = replace(blocks, data=_without_padding(editor, blocks))
    for gather in table.gathers:
        editor.replace(gather, [block_gather(rows, gather)])

    def product(x: str, y: str) -> list[NodeProto]:
        return [block_product(blocks, x, y, accuracy_level=accuracy_level)]

    for linear in table.tied:
        editor.replace(linear.node, lower(editor, linear, product))


def _without_padding(editor: Editor, blocks: Blocks) -> str:
    """(V, blocks, bytes) as (V, bytes of H codes)."""
    count, width = blocks.packed.rows.shape
    limits = {"shape": [count, -1], "start": [0], "end": [width], "axis": [1]}
    names = [editor.add(np.array(value), f"{blocks.data}_{name}") for name, value in limits.items()]
    flat = editor.derive("Reshape", [blocks.data, names[0]], f"{blocks.data}_flat")
    return editor.derive("Slice", [flat, *names[1:]], f"{blocks.data}_rows")
