"""Products with constants, in every form, against the graph they were found in."""

import itertools

import numpy as np
import pytest

from compress.graph.edit import Editor
from compress.graph.linear import find_linears, lower
from tests.unit.graphs import matrix, model, node, operators, run

X = {"x": matrix(6, 6)}


SETTINGS = [
    {"transA": a, "transB": b, "alpha": alpha, "beta": beta}
    for a, b, alpha, beta in itertools.product((0, 1), (0, 1), (1.0, 0.5), (1.0, 2.0, 0.0))
]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("bias", [(), (6,), (1, 6), (6, 6), (6, 1), (1,)])
def test_gemm_lowers_to_the_same_numbers(settings: dict[str, float], bias: tuple[int, ...]) -> None:
    constants = {"w": matrix(6, 6), **({"c": matrix(*bias)} if bias else {})}
    graph = model([node("Gemm", ["x", *constants], "y", **settings)], constants, X)
    expected = run(graph, X)[0]
    assert np.allclose(run(lowered(graph), X)[0], expected, atol=1e-5)


@pytest.mark.parametrize("settings", [{}, {"transB": 1}, {"alpha": 0.25}, {"transB": 1, "alpha": 3.0}])
def test_fusedmatmul_lowers_to_the_same_numbers(settings: dict[str, float]) -> None:
    fused = node("FusedMatMul", ["x", "w"], "y", domain="com.microsoft", **settings)
    graph = model([fused], {"w": matrix(6, 6)}, X)
    assert np.allclose(run(lowered(graph), X)[0], run(graph, X)[0], atol=1e-5)


def test_what_is_not_a_constant_fp32_matrix_is_left() -> None:
    nodes = [
        node("MatMul", ["x", "x"], "a"),  # both computed
        node("MatMul", ["w", "a"], "b"),  # the constant is on the left
        node("MatMul", ["b", "batched"], "c"),  # one matrix for each item
        node("MatMul", ["x", "v"], "d"),  # a vector
        node("FusedMatMul", ["x", "w"], "e", domain="com.microsoft", transA=1),
        node("MatMul", ["x", "double_w"], "f"),
        node("MatMul", ["x", "w"], "y"),
    ]
    constants = {
        "w": matrix(6, 6),
        "batched": matrix(2, 6, 6),
        "v": matrix(6),
        "double_w": matrix(6, 6).astype(np.float64),
    }
    found = list(find_linears(Editor(model(nodes, constants, X))))
    assert [linear.y for linear in found] == ["y"]


def test_patterns_exclude_by_node_weight_or_root() -> None:
    nodes = [
        node("Transpose", ["encoder.w"], "t", perm=[1, 0]),
        node("MatMul", ["x", "t"], "a"),
        node("MatMul", ["a", "head.w"], "y"),
    ]
    graph = model(nodes, {"encoder.w": matrix(6, 6), "head.w": matrix(6, 6)}, X)
    for pattern, left in {
        "head*": ["a"],
        "*_node": [],
        "encoder.?": ["y"],
        "y_node": ["a"],
        "y": ["a", "y"],
    }.items():
        found = find_linears(Editor(graph), exclude=[pattern])
        assert [linear.y for linear in found] == left


def test_two_uses_of_one_matrix_share_a_key() -> None:
    nodes = [
        node("Transpose", ["w"], "t", perm=[1, 0]),
        node("MatMul", ["x", "t"], "a"),
        node("Gemm", ["a", "w"], "b", transB=1),
        node("MatMul", ["b", "w"], "y"),
    ]
    editor = Editor(model(nodes, {"w": matrix(6, 6)}, X))
    keys = [linear.key(editor) for linear in find_linears(editor)]
    assert keys[0] == keys[1] != keys[2]


def lowered(graph):  # type: ignore[no-untyped-def]
    editor = Editor(graph)
    (linear,) = find_linears(editor)
    name = editor.add(linear.weight(editor).T, "kn")
    assert linear.weight(editor).shape == linear.shape(editor)
    editor.replace(linear.node, lower(editor, linear, lambda x, y: [node("MatMul", [x, name], y)]))
    done = editor.finish()
    assert not {"Gemm", "FusedMatMul"} & set(operators(done))
    return done
