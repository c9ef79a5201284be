"""Small graphs that are as slow as a test wants them."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def products(path: Path, *, count: int = 1, size: int = 64) -> Path:
    """A graph that multiplies an input `x` (rows, size) with `count` matrices in a row."""
    weight = np.eye(size, dtype=np.float32)
    names = ["x", *(f"h{index}" for index in range(1, count)), "y"]
    nodes = [helper.make_node("MatMul", [a, f"w{i}"], [b]) for i, (a, b) in enumerate(pairwise(names))]
    graph = helper.make_graph(
        nodes,
        "products",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", size])],
        [numpy_helper.from_array(weight + index, f"w{index}") for index in range(count)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save_model(model, str(path))
    return path


def feeds(rows: int = 4, size: int = 64) -> dict[str, np.ndarray]:
    return {"x": np.ones((rows, size), np.float32)}
