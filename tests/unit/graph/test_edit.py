"""Edits of graphs."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compress.core.errors import CompressError
from compress.graph.edit import Editor
from tests.unit.graphs import matrix, model, node, operators, run

X = {"x": matrix(2, 3)}


def test_constants_are_followed_through_reshaping_nodes() -> None:
    weight = matrix(4, 3).astype(np.float16)
    nodes = [
        node("Cast", ["w"], "a", to=TensorProto.FLOAT),
        node("Transpose", ["a"], "b", perm=[1, 0]),
        node("Identity", ["b"], "c"),
        node("Slice", ["c", "zero", "two", "one"], "d"),
        node("MatMul", ["x", "d"], "y"),
    ]
    constants = {"w": weight, "zero": np.array([0]), "two": np.array([2]), "one": np.array([1])}
    editor = Editor(model(nodes, constants, X))
    found = editor.array("d")
    assert found is not None
    assert np.array_equal(found, weight.astype(np.float32).T[:, :2])
    assert editor.form("d") == ((3, 2), np.dtype(np.float32))
    assert editor.array("x") is None
    assert editor.array("y") is None
    assert editor.form("y") is None


def test_a_normalized_weight_is_a_constant() -> None:
    weight, size = matrix(4, 3), matrix(4, 1)
    nodes = [
        node("ReduceL2", ["v", "last"], "norm"),
        node("Div", ["g", "norm"], "factor"),
        node("Mul", ["v", "factor"], "w"),
        node("Mul", ["w", "x"], "y"),
    ]
    graph = model(nodes, {"v": weight, "g": size, "last": np.array([1])}, {"x": matrix(4, 3)})
    found = Editor(graph).array("w")
    assert found is not None
    assert np.allclose(found, weight * size / np.linalg.norm(weight, axis=1, keepdims=True), atol=1e-6)
    assert Editor(graph).array("y") is None


def test_the_root_of_a_value_knows_how_often_it_was_transposed() -> None:
    nodes = [
        node("Transpose", ["w"], "a", perm=[1, 0]),
        node("Identity", ["a"], "b"),
        node("Transpose", ["b"], "c", perm=[1, 0]),
        node("Relu", ["w"], "d"),
        node("MatMul", ["x", "b"], "y"),
    ]
    editor = Editor(model(nodes, {"w": matrix(4, 3)}, X))
    assert [editor.root(name) for name in "abcdwx"] == [
        ("w", True),
        ("w", True),
        ("w", False),
        ("d", False),
        ("w", False),
        ("x", False),
    ]


def test_a_constant_node_is_a_constant() -> None:
    value = matrix(3, 2)
    nodes = [node("Constant", [], "w", value=numpy_helper.from_array(value)), node("MatMul", ["x", "w"], "y")]
    found = Editor(model(nodes, {}, X)).array("w")
    assert np.array_equal(found, value)  # type: ignore[arg-type]


def test_finish_leaves_nothing_unused() -> None:
    nodes = [node("Transpose", ["w"], "a", perm=[1, 0]), node("MatMul", ["x", "a"], "y")]
    graph = model(nodes, {"w": matrix(4, 3)}, X)
    graph.graph.value_info.append(helper.make_tensor_value_info("a", TensorProto.FLOAT, [3, 4]))
    graph.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [4, 3]))
    editor = Editor(graph)
    new = editor.add(matrix(3, 5), "w")
    assert new == "w_1"
    editor.replace(
        nodes[1], [node("Gelu", ["x"], "g", domain="com.microsoft"), node("MatMul", ["g", new], "y")]
    )
    done = editor.finish()
    assert operators(done) == {"Gelu": 1, "MatMul": 1}
    assert [tensor.name for tensor in done.graph.initializer] == ["w_1"]
    assert [value.name for value in done.graph.input] == ["x"]
    assert not done.graph.value_info
    assert run(done, X)[0].shape == (2, 5)


def test_the_microsoft_domain_is_imported_when_it_is_needed() -> None:
    graph = model([node("Relu", ["x"], "y")], {}, X)
    del graph.opset_import[1]
    editor = Editor(graph)
    editor.replace(graph.graph.node[0], [node("Gelu", ["x"], "y", domain="com.microsoft")])
    assert {entry.domain for entry in editor.finish().opset_import} == {"", "com.microsoft"}


def test_what_subgraphs_read_is_kept_and_their_names_are_not_reused() -> None:
    then = helper.make_graph([node("MatMul", ["x", "w"], "t")], "then", [], [value("t")])
    other = helper.make_graph([node("Relu", ["x"], "e")], "else", [], [value("e")])
    choice = node("If", ["c"], "y", then_branch=then, else_branch=other)
    graph = model([choice], {"w": matrix(3, 3), "unused": matrix(1)}, {**X, "c": np.array(True)})
    editor = Editor(graph)
    assert editor.readers("w") == [graph.graph.node[0]]
    assert editor.fresh("t") == "t_1"
    done = editor.finish()
    assert [tensor.name for tensor in done.graph.initializer] == ["w"]


def test_an_old_operator_set_is_refused() -> None:
    editor = Editor(model([node("Relu", ["x"], "y")], {}, X, opset=9))
    with pytest.raises(CompressError, match="operator set 9") as caught:
        editor.require(11)
    assert caught.value.code == "opset-too-old"


def value(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
