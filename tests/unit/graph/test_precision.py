"""Types of values, and graphs in fp16."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from compress.graph.precision import to_half
from compress.graph.types import element_types, signature
from tests.unit.graphs import matrix, model, node, operators, run

X = {"x": matrix(4, 6)}
FLOAT, HALF, INT64, BOOL = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT64, TensorProto.BOOL


def never(_: onnx.NodeProto) -> bool:
    return False


def test_types_of_standard_and_runtime_operators() -> None:
    nodes = [
        node("Gelu", ["x"], "gelu", domain="com.microsoft"),
        node("Shape", ["gelu"], "shape"),
        node("Cast", ["shape"], "double", to=TensorProto.DOUBLE),
        node("ConstantOfShape", ["shape"], "zeros"),
        node("Greater", ["gelu", "zeros"], "greater"),
        node("Where", ["greater", "gelu", "zeros"], "y"),
        node("DynamicQuantizeLinear", ["y"], "codes", "scale", "zero"),
        node("TopK", ["y", "two"], "top", "places"),
        node("Constant", [], "one", value_float=1.0),
        node("Made up", ["y"], "unknown", domain="nowhere"),
    ]
    types = element_types(model(nodes, {"two": np.array([2])}, X))
    expected = {"gelu": FLOAT, "shape": INT64, "double": TensorProto.DOUBLE, "zeros": FLOAT, "greater": BOOL}
    expected |= {
        "y": FLOAT,
        "codes": TensorProto.UINT8,
        "scale": FLOAT,
        "top": FLOAT,
        "places": INT64,
        "one": FLOAT,
    }
    assert {name: types.get(name) for name in expected} == expected
    assert "unknown" not in types


def test_a_signature_repeats_its_last_input() -> None:
    graph = model([node("Concat", ["x", "x", "x"], "y", axis=0)], {}, X)
    found = signature(graph, graph.graph.node[0])
    assert found is not None
    assert found.input(2) == found.output(0) == "T"
    assert found.allows("T", "tensor(float16)")
    assert not found.allows("T", "tensor(nothing)")


def test_weights_are_halved_and_inputs_and_outputs_are_not() -> None:
    graph = model([node("MatMul", ["x", "w"], "h"), node("Relu", ["h"], "y")], {"w": matrix(6, 64)}, X)
    expected = run(graph, X)[0]
    done = to_half(graph, never)
    (weight,) = done.graph.initializer
    assert weight.data_type == HALF
    assert run(done, X)[0].dtype == np.float32
    assert np.allclose(run(done, X)[0], expected, atol=0.02)
    assert operators(done) == {"Cast": 2, "MatMul": 1, "Relu": 1}


def test_neighbours_that_stay_have_no_cast_between_them() -> None:
    """1e-6 under a square root is lost in fp16; 300^2 is out of its range."""
    nodes = [
        node("MatMul", ["x", "w"], "h"),
        node("Pow", ["h", "two"], "square"),
        node("ReduceMean", ["square", "axes"], "mean"),
        node("Add", ["mean", "epsilon"], "safe"),  # stays, since it stands between nodes that do
        node("Sqrt", ["safe"], "root"),
        node("Div", ["h", "root"], "y"),
    ]
    constants = {
        "w": matrix(6, 6) * 300,
        "two": np.array(2.0, np.float32),
        "axes": np.array([-1]),
        "epsilon": np.array(1e-12, np.float32),
    }
    graph = model(nodes, constants, X)
    expected = run(graph, X)[0]
    done = to_half(graph, lambda one: one.op_type in {"Pow", "ReduceMean", "Sqrt"})
    assert np.allclose(run(done, X)[0], expected, atol=0.01)
    # x and h on their way in, root on its way back, y on its way out.
    assert operators(done)["Cast"] == 4
    kept = {tensor.name for tensor in done.graph.initializer if tensor.data_type == FLOAT}
    assert kept == {"two", "epsilon"}


def test_operators_without_fp16_stay() -> None:
    feeds = {"x": matrix(1, 1, 4, 4)}
    nodes = [node("Relu", ["x"], "h"), node("Resize", ["h", "", "scales"], "y", mode="nearest")]
    graph = model(nodes, {"scales": np.array([1, 1, 2, 2], np.float32)}, feeds)
    done = to_half(graph, never)
    assert done.graph.initializer[0].data_type == FLOAT
    assert run(done, feeds)[0].shape == (1, 1, 8, 8)


def test_a_weight_in_both_types_is_stored_in_both() -> None:
    nodes = [node("MatMul", ["x", "w"], "h"), node("Exp", ["w"], "e"), node("MatMul", ["h", "e"], "y")]
    feeds = {"x": matrix(6, 6)}
    graph = model(nodes, {"w": matrix(6, 6)}, feeds)
    expected = run(graph, feeds)[0]
    done = to_half(graph, lambda one: one.op_type == "Exp")
    assert sorted(tensor.data_type for tensor in done.graph.initializer) == sorted([FLOAT, HALF])
    assert np.allclose(run(done, feeds)[0], expected, rtol=0.02, atol=0.1)


def test_large_masks_become_the_largest_number_and_infinity_stays() -> None:
    value = np.array([-3e38, -np.inf, 0, 0], np.float32)
    nodes = [
        node("Constant", [], "c", value=numpy_helper.from_array(value)),
        node("Add", ["c", "w"], "h"),
        node("Add", ["x", "h"], "y"),
    ]
    feeds = {"x": np.zeros((2, 4), np.float32)}
    graph = model(nodes, {"w": np.array([0, 0, 1e38, 0], np.float32)}, feeds)
    assert run(to_half(graph, never), feeds)[0][0].tolist() == [-65504, -np.inf, 65504, 0]


def test_subgraphs_read_fp32() -> None:
    def branch(name: str, operator: str) -> onnx.GraphProto:
        out = helper.make_tensor_value_info(name, FLOAT, None)
        return helper.make_graph([node(operator, ["h"], name)], name, [], [out])

    choice = node("If", ["c"], "z", then_branch=branch("t", "Relu"), else_branch=branch("e", "Neg"))
    nodes = [node("Sigmoid", ["x"], "h"), choice, node("Tanh", ["h"], "g"), node("Add", ["z", "g"], "y")]
    feeds = {**X, "c": np.array(True)}
    graph = model(nodes, {}, feeds, outputs=("y", "h"))
    expected = run(graph, feeds)
    for ours, theirs in zip(run(to_half(graph, never), feeds), expected, strict=True):
        assert np.allclose(ours, theirs, atol=0.01)
