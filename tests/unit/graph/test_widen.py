"""bfloat16 computed in float32 gives what torch's own bfloat16 gives."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime
import torch
from onnx import TensorProto, helper

from compress.graph.widen import widen_bfloat16

NARROW = TensorProto.BFLOAT16


def written(weight):
    """y = float(bfloat16(x) * weight + 0.1) with all of it in bfloat16."""
    tenth = helper.make_tensor("tenth", NARROW, [], [0.1])
    nodes = [
        helper.make_node("Cast", ["x"], ["narrow"], to=NARROW),
        helper.make_node("Constant", [], ["tenth"], value=tenth),
        helper.make_node("Mul", ["narrow", "w"], ["product"]),
        helper.make_node("Add", ["product", "tenth"], ["sum"]),
        helper.make_node("Cast", ["sum"], ["y"], to=TensorProto.FLOAT),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 4]) for name in "xy"]
    made = ("tenth", "product", "sum")
    inner = [helper.make_tensor_value_info(name, NARROW, None) for name in ("narrow", *made)]
    constants = [helper.make_tensor("w", NARROW, [4], weight)]
    graph = helper.make_graph(nodes, "narrow", ends[:1], ends[1:], constants, value_info=inner)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_results_are_those_of_bfloat16():
    weight = [0.3, -1.7, 100.0, 1e-3]
    model = ir.from_proto(written(weight))
    assert widen_bfloat16(model.graph) == 5
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString())
    x = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    narrow = torch.from_numpy(x).bfloat16() * torch.tensor(weight).bfloat16() + torch.tensor(0.1).bfloat16()
    (found,) = session.run(None, {"x": x})
    np.testing.assert_array_equal(found, narrow.float().numpy())


def test_arithmetic_makes_float32():
    model = ir.from_proto(written([1.0] * 4))
    widen_bfloat16(model.graph)
    nodes = [node.op_type for node in model.graph if node.op_type != "Cast"]
    assert nodes == ["Constant", "Mul", "Add"]
    floats = [value for node in model.graph for value in node.outputs if node.op_type in {"Mul", "Add"}]
    assert {value.dtype for value in floats} == {ir.DataType.FLOAT}
