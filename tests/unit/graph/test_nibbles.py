"""Matrices in 4 bits in a file, as the runtime widens them."""

import numpy as np
import pytest
from onnx import helper

from compress.graph.edit import Editor
from compress.graph.nibbles import store_nested
from compress.numerics.nested import nest
from tests.unit.graphs import matrix, model, node, run


@pytest.mark.parametrize("columns", [32, 50])
@pytest.mark.parametrize("opset", [11, 20])
def test_the_runtime_reads_the_codes(columns: int, opset: int) -> None:
    nested = nest(matrix(6, columns), group_size=16, high=127)
    feeds = {"x": np.eye(columns, dtype=np.float32)}
    editor = Editor(model([node("Identity", ["x"], "y")], {}, feeds, opset=opset))
    stored = store_nested(editor, nested, "w")
    cast = helper.make_node("Cast", [stored.codes], ["wide"], to=1)
    product = helper.make_node("MatMul", ["x", "wide"], ["y"])
    editor.replace(editor.nodes[0], [cast, product])
    found = editor.finish()
    assert np.array_equal(run(found, feeds)[0], nested.widened().T)
    packed = {one.name: one.dims for one in found.graph.initializer}["w_nibbles"]
    assert list(packed) == [-(-columns // 16) * 8, 6]
