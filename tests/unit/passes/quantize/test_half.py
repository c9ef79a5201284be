"""Graphs in fp16, where numbers of positions stay exact."""

from pathlib import Path

import numpy as np
import pytest

from compress.core.errors import CompressError
from compress.passes.quantize import dynamic, half
from tests.unit.graphs import apply, cosine, matrix, model, node, operators, run


def test_angles_of_large_positions_stay_exact(tmp_path: Path) -> None:
    positions = {"positions": np.arange(3000, 3064)[None]}
    nodes = [
        node("Cast", ["positions"], "float", to=1),
        node("Unsqueeze", ["float", "last"], "column"),
        node("Mul", ["column", "frequencies"], "angles"),
        node("Cos", ["angles"], "cos"),
        node("MatMul", ["cos", "w"], "y"),
    ]
    constants = {
        "last": np.array([-1]),
        "frequencies": (10000.0 ** (-np.arange(32) / 32)).astype(np.float32),
        "w": np.eye(32, dtype=np.float32),
    }
    graph = model(nodes, constants, positions)
    found = apply(half, graph, tmp_path)
    assert np.abs(run(found, positions)[0] - run(graph, positions)[0]).max() < 1e-3


def test_buckets_of_distances_stay_exact(tmp_path: Path) -> None:
    distance = {"distance": np.arange(1, 4001)}
    nodes = [
        node("Cast", ["distance"], "float", to=1),
        node("Log", ["float"], "log"),
        node("Mul", ["log", "factor"], "scaled"),
        node("Add", ["scaled", "offset"], "moved"),
        node("Cast", ["moved"], "bucket", to=7),
        node("Gather", ["bias", "bucket"], "y"),
    ]
    constants = {
        "factor": np.array(7.3, np.float32),
        "offset": np.array(0.5, np.float32),
        "bias": np.arange(100, dtype=np.float32)[:, None],
    }
    graph = model(nodes, constants, distance)
    assert np.array_equal(run(apply(half, graph, tmp_path), distance)[0], run(graph, distance)[0])


def test_what_the_user_keeps_stays(tmp_path: Path) -> None:
    feeds = {"x": matrix(4, 32)}
    nodes = [node("MatMul", ["x", "a"], "h"), node("Tanh", ["h"], "t"), node("MatMul", ["t", "b"], "y")]
    graph = model(nodes, {"a": matrix(32, 32), "b": matrix(32, 32)}, feeds)
    for count, (config, stay) in enumerate([({"keep": ("MatMul",)}, 2), ({"exclude": ("y_*",)}, 1), ({}, 0)]):
        found = apply(half, graph, tmp_path / str(count), **config)
        assert sum(tensor.data_type == 1 for tensor in found.graph.initializer) == stay
        assert cosine(run(found, feeds)[0], run(graph, feeds)[0]) > 0.9999


def test_int8_products_survive(tmp_path: Path) -> None:
    feeds = {"x": matrix(4, 32) * 100}
    graph = model([node("MatMul", ["x", "a"], "h"), node("Relu", ["h"], "y")], {"a": matrix(32, 32)}, feeds)
    int8 = apply(dynamic, graph, tmp_path / "int8", minimum_elements=0)
    found = apply(half, int8, tmp_path / "half")
    assert operators(found)["MatMulInteger"] == 1
    assert cosine(run(found, feeds)[0], run(graph, feeds)[0]) > 0.999


def test_a_graph_without_weights_says_so(tmp_path: Path) -> None:
    with pytest.raises(CompressError) as caught:
        apply(half, model([node("Relu", ["x"], "y")], {}, {"x": matrix(2)}), tmp_path)
    assert caught.value.code == "nothing-to-quantize"
