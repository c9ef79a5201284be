"""What stands in for quantized matrices is not written into protobuf, and what only looks like it is kept."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from onnx import TensorProto, helper, numpy_helper

from compress.decoder import fill
from compress.decoder.rows import RowNumbers


def graph(matrix):
    """x + matrix, with the matrix as an expanded array over one column."""
    made = helper.make_graph(
        [helper.make_node("Add", ["x", "matrix"], ["y"])],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, matrix.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, matrix.shape)],
        [numpy_helper.from_array(np.ascontiguousarray(matrix), "matrix")],
    )
    model = ir.from_proto(helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)]))
    model.graph.initializers["matrix"].const_value = ir.Tensor(matrix, name="matrix")
    return model


def test_repeated_columns_are_taken_out():
    matrix = np.broadcast_to(np.arange(4096, dtype=np.float32)[:, None], (4096, 512))
    model = graph(matrix)
    columns = fill._taken_out(model)
    assert columns["matrix"] is matrix
    assert ir.to_proto(model).ByteSize() < 1000


def test_one_that_no_product_uses_is_written_after_all():
    matrix = np.broadcast_to(np.arange(8, dtype=np.float32)[:, None], (8, 4))
    made = fill.fill_codes(graph(matrix), RowNumbers({}), None, accuracy_level=1)
    (kept,) = made.graph.initializer
    np.testing.assert_array_equal(numpy_helper.to_array(kept), matrix)
    assert kept.data_location == TensorProto.DEFAULT


def test_whole_matrices_stay_where_they_are():
    model = graph(np.random.default_rng(0).random((8, 4), dtype=np.float32))
    assert not fill._taken_out(model)
