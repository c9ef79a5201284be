"""Weight-only products against the matrices that were stored."""

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from compress.core.errors import CompressError
from compress.numerics.pack import round_to_blocks
from compress.passes.quantize import weights
from tests.unit.graphs import apply, cosine, matrix, model, node, operators, optimized, run

X = {"x": matrix(2, 5, 72)}


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("half_scales", [True, False])
def test_products_use_the_rounded_matrix(
    tmp_path: Path, bits: int, symmetric: bool, half_scales: bool
) -> None:
    weight = matrix(72, 20)
    graph = model([node("MatMul", ["x", "w"], "y")], {"w": weight}, X)
    settings = {"bits": bits, "block_size": 32, "symmetric": symmetric, "half_scales": half_scales}
    found = apply(weights, graph, tmp_path, minimum_elements=0, accuracy_level=1, **settings)
    rounded = round_to_blocks(weight.T, **settings).unpack()
    assert np.allclose(run(found, X)[0], X["x"] @ rounded.T, atol=1e-4)


@pytest.mark.parametrize("block_size", [16, 32, 64, 128, 256])
@pytest.mark.parametrize("accuracy_level", [0, 1, 4])
def test_every_block_size_loads_and_is_close(tmp_path: Path, block_size: int, accuracy_level: int) -> None:
    graph = model([node("MatMul", ["x", "w"], "y")], {"w": matrix(72, 20)}, X)
    settings = {"block_size": block_size, "accuracy_level": accuracy_level, "minimum_elements": 0}
    found = apply(weights, graph, tmp_path, **settings)
    assert cosine(run(found, X)[0], run(graph, X)[0]) > 0.99


def test_gemm_with_bias(tmp_path: Path) -> None:
    feeds = {"x": matrix(5, 72)}
    gemm = node("Gemm", ["x", "w", "c"], "y", transB=1, alpha=2.0)
    graph = model([gemm], {"w": matrix(64, 72), "c": matrix(64)}, feeds)
    found = apply(weights, graph, tmp_path, bits=8)
    assert operators(found)["MatMulNBits"] == 1
    assert cosine(run(found, feeds)[0], run(graph, feeds)[0]) > 0.999


@pytest.mark.parametrize(("bits", "limit"), [(4, 0.95), (8, 0.999)])
@pytest.mark.parametrize("hidden", [64, 72])
def test_a_tied_output_layer_and_its_embedding_share_one_table(
    tmp_path: Path, bits: int, limit: float, hidden: int
) -> None:
    ids = {"ids": np.array([[1, 299, 0]])}
    nodes = [
        node("Gather", ["word", "ids"], "h"),
        node("Transpose", ["word"], "t", perm=[1, 0]),
        node("MatMul", ["h", "t"], "y"),
    ]
    graph = model(nodes, {"word": matrix(300, hidden)}, ids, outputs=("h", "y"))
    found = apply(weights, graph, tmp_path, bits=bits)
    assert found.ByteSize() < 300 * (hidden + 32) * bits / 8 + 300 * 3 * 3 + 3000
    for ours, theirs in zip(run(found, ids), run(graph, ids), strict=True):
        assert cosine(ours, theirs) > limit


def test_one_matrix_is_stored_once(tmp_path: Path) -> None:
    nodes = [node("MatMul", ["x", "w"], "a"), node("MatMul", ["a", "w"], "y")]
    found = apply(weights, model(nodes, {"w": matrix(72, 72)}, X), tmp_path)
    assert operators(found)["MatMulNBits"] == 2
    assert sum(tensor.name.startswith("w_q4") for tensor in found.graph.initializer) == 1


def test_bad_settings_are_refused(tmp_path: Path) -> None:
    for settings in ({"block_size": 48}, {"block_size": 8}, {"bits": 3}, {"accuracy_level": 5}):
        with pytest.raises(ValidationError):
            weights.Config(**settings)
    with pytest.raises(CompressError) as caught:
        apply(weights, model([node("Relu", ["x"], "y")], {}, X), tmp_path)
    assert caught.value.code == "nothing-to-quantize"


@pytest.mark.parametrize(
    ("operator", "shape", "settings"),
    [
        ("Conv", (8, 4, 3, 3), {}),
        ("Conv", (8, 2, 3), {"group": 2}),
        ("ConvTranspose", (4, 8, 3, 3), {}),
    ],
)
def test_filters_are_stored_in_eight_bits_and_widened_on_loading(
    tmp_path: Path, operator: str, shape: tuple[int, ...], settings: dict[str, int]
) -> None:
    feeds = {"x": matrix(1, 4, *[9] * (len(shape) - 2))}
    graph = model([node(operator, ["x", "w"], "y", **settings)], {"w": matrix(*shape)}, feeds)
    found = apply(weights, graph, tmp_path, operators=("Conv",), minimum_elements=0)
    assert cosine(run(found, feeds)[0], run(graph, feeds)[0]) > 0.9999
    assert {tensor.data_type for tensor in found.graph.initializer if len(tensor.dims) > 1} == {1, 3}
    assert not {"Cast", "Mul"} & set(optimized(found, tmp_path))
