from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compress.core.errors import CompressError
from compress.measure.operators import executed
from tests.unit.measure.graphs import feeds, products


def graph(
    path, nodes, *, shape, out, weights, opset=17, dtype=TensorProto.FLOAT, out_dtype=TensorProto.FLOAT
):
    made = helper.make_graph(
        nodes,
        "one",
        [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_tensor_value_info("y", out_dtype, out)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    onnx.save_model(helper.make_model(made, opset_imports=opsets, ir_version=8), str(path))
    return path


def only(operators, kind):
    (found,) = [one for one in operators if one.type == kind]
    return found


def test_products_are_counted(tmp_path):
    found = executed(products(tmp_path / "m.onnx", count=3, size=64), feeds(rows=5, size=64))
    assert [one.operations for one in found] == [2 * 5 * 64 * 64] * 3
    assert [one.dtype for one in found] == ["fp32"] * 3
    assert [one.weight_bytes for one in found] == [64 * 64 * 4] * 3
    assert [one.activation_bytes for one in found] == [2 * 5 * 64 * 4] * 3


def test_convolutions_are_counted_with_their_groups(tmp_path):
    weight = np.ones((8, 2, 3, 3), np.float32)
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=2, pads=[1, 1, 1, 1])
    path = graph(tmp_path / "m.onnx", [node], shape=[1, 4, 6, 6], out=[1, 8, 6, 6], weights={"w": weight})
    found = executed(path, {"x": np.ones((1, 4, 6, 6), np.float32)})
    counted = [one for one in found if one.operations]
    assert [one.operations for one in counted] == [2 * 8 * 6 * 6 * 2 * 3 * 3]


def test_integer_products_are_int8(tmp_path):
    node = helper.make_node("MatMulInteger", ["x", "w"], ["y"])
    path = graph(
        tmp_path / "m.onnx", [node], shape=[3, 16], out=[3, 8], weights={"w": np.ones((16, 8), np.int8)},
        dtype=TensorProto.UINT8, out_dtype=TensorProto.INT32,
    )  # fmt: skip
    found = only(executed(path, {"x": np.ones((3, 16), np.uint8)}), "MatMulInteger")
    assert (found.dtype, found.operations, found.weight_bytes) == ("int8", 2 * 3 * 8 * 16, 128)


def test_4_bit_weights_are_floating_point_arithmetic(tmp_path):
    node = helper.make_node(
        "MatMulNBits", ["x", "w", "s"], ["y"], domain="com.microsoft", K=32, N=8, bits=4, block_size=16
    )
    weights = {"w": np.ones((8, 2, 8), np.uint8), "s": np.ones(16, np.float32)}
    path = graph(tmp_path / "m.onnx", [node], shape=[3, 32], out=[3, 8], weights=weights)
    found = only(executed(path, {"x": np.ones((3, 32), np.float32)}), "MatMulNBits")
    assert (found.dtype, found.operations) == ("fp32", 2 * 3 * 8 * 32)
    assert found.weight_bytes == 128 + 64


def test_a_lookup_reads_what_it_writes_and_a_view_nothing(tmp_path):
    nodes = [
        helper.make_node("Gather", ["table", "x"], ["rows"]),
        helper.make_node("Unsqueeze", ["rows", "axis"], ["wide"]),
        helper.make_node("Relu", ["wide"], ["y"]),
    ]
    weights = {"table": np.ones((1000, 4), np.float32), "axis": np.array([0])}
    path = graph(
        tmp_path / "m.onnx", nodes, shape=[6], out=[1, 6, 4], weights=weights, dtype=TensorProto.INT64
    )
    found = executed(path, {"x": np.arange(6)})
    lookup = only(found, "Gather")
    assert (lookup.weight_bytes, lookup.activation_bytes, lookup.operations) == (0, 2 * 6 * 4 * 4, 0)
    assert only(found, "Unsqueeze").activation_bytes == 0
    assert only(found, "Relu").activation_bytes == 2 * 6 * 4 * 4


def test_attention_counts_projections_and_scores(tmp_path):
    node = helper.make_node("Attention", ["x", "w", "b"], ["y"], domain="com.microsoft", num_heads=2)
    weights = {"w": np.ones((8, 24), np.float32), "b": np.ones(24, np.float32)}
    path = graph(tmp_path / "m.onnx", [node], shape=[1, 5, 8], out=[1, 5, 8], weights=weights)
    found = only(executed(path, {"x": np.ones((1, 5, 8), np.float32)}), "Attention")
    assert found.operations == 2 * 5 * 8 * 24 + 4 * 5 * 5 * 8


@pytest.mark.parametrize("shape", [[3, 5, 8], [3, 2, 5, 4]])
def test_attention_between_activations_has_scores_alone(tmp_path, shape):
    """ONNX's own operator, whose inputs are queries, keys and values: with heads as an axis or without."""
    heads = {} if len(shape) == 4 else {"q_num_heads": 2, "kv_num_heads": 2}
    node = helper.make_node("Attention", ["x", "x", "x"], ["y"], **heads)
    path = graph(tmp_path / "m.onnx", [node], shape=shape, out=shape, weights={}, opset=23)
    found = only(executed(path, {"x": np.ones(shape, np.float32)}), "Attention")
    assert found.operations == 3 * 4 * 5 * 5 * 8


def test_a_graph_that_cannot_run_says_so(tmp_path):
    path = products(tmp_path / "m.onnx")
    with pytest.raises(CompressError, match="cannot run m.onnx"):
        executed(path, feeds(size=3))
