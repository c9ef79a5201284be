"""The codes of a quantized checkpoint in the place of stand-ins in a traced graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir
from onnx import TensorProto, numpy_helper

from compress.graph.edit import Editor
from compress.graph.linear import Linear, find_linears, lower
from compress.graph.quantized import Blocks, block_gather, block_product, store_blocks
from compress.graph.tables import Table, find_tables
from compress.graph.tied import share_blocks

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from onnx import ModelProto, NodeProto

    from compress.decoder.codes import Codes
    from compress.decoder.rows import RowNumbers, Source


def fill_codes(model: ir.Model, rows: RowNumbers, codes: Codes, *, accuracy_level: int) -> ModelProto:
    """Write products with stand-ins as MatMulNBits and look-ups as GatherBlockQuantized; a table that is
    both is stored once. `model` is used up.

    Raises:
        CompressError: a stand-in is used in another way.
    """
    columns = _taken_out(model)
    editor = Editor(ir.to_proto(model), columns)
    filler = _Filler(editor, rows, codes, accuracy_level)
    written = {y for table in list(find_tables(editor)) for y in filler.table(table)}
    for linear in list(find_linears(editor)):
        if linear.y not in written:
            filler.product(linear)
    filled = editor.finish()
    for tensor in filled.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            tensor.CopyFrom(numpy_helper.from_array(columns[tensor.name].copy(), tensor.name))
    return filled


def _taken_out(model: ir.Model) -> Mapping[str, np.ndarray]:
    """Matrices that repeat one column, as stand-ins do, by name; their places are left empty. Written into
    protobuf they would take what the whole model takes in float32.
    """
    columns = {}
    for name, value in model.graph.initializers.items():
        if value.const_value is None:
            continue
        array = value.const_value.numpy()
        if array.ndim == 2 and 0 in array.strides:
            columns[name] = array
            shape = ir.Shape(array.shape)
            value.const_value = ir.ExternalTensor(
                "", None, None, value.const_value.dtype, shape=shape, name=name
            )
    return columns


class _Filler:
    """Replaces stand-ins; `_stored` are the matrices that are in the graph already."""

    def __init__(self, editor: Editor, rows: RowNumbers, codes: Codes, accuracy_level: int) -> None:
        self._editor, self._rows, self._codes = editor, rows, codes
        self._accuracy_level = accuracy_level
        self._stored: dict[tuple[Source, ...], Blocks] = {}

    def table(self, table: Table) -> set[str]:
        """Write the look-ups and the tied products of a table; the names of the products' results."""
        array = self._editor.array(table.name)
        sources = () if array is None else self._rows.sources(array)
        if not sources:
            return set()
        packed = self._codes.packed(sources)
        if table.tied:
            share_blocks(self._editor, table, packed, accuracy_level=self._accuracy_level)
        else:
            blocks = store_blocks(self._editor, packed, table.name, rows=True)
            for gather in table.gathers:
                self._editor.replace(gather, [block_gather(blocks, gather)])
        return {linear.y for linear in table.tied}

    def product(self, linear: Linear) -> None:
        """Write a product, unless its matrix is no stand-in."""
        sources = self._rows.sources(linear.weight(self._editor)) if linear.factor == 1 else ()
        if not sources:
            return
        if sources not in self._stored:
            name, _, _ = linear.key(self._editor)
            self._stored[sources] = store_blocks(self._editor, self._codes.packed(sources), name)
        blocks = self._stored[sources]

        def product(x: str, y: str) -> list[NodeProto]:
            return [block_product(blocks, x, y, accuracy_level=self._accuracy_level)]

        self._editor.replace(linear.node, lower(self._editor, linear, product))
