"""Dynamic int8 against the arithmetic that it stands for."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from compress.core.errors import CompressError
from compress.core.profile import Profile
from compress.passes.quantize import dynamic
from tests.unit.graphs import apply, cosine, matrix, model, node, operators, optimized, run

X = {"x": matrix(2, 5, 32)}


def emulate(x: np.ndarray, weight: np.ndarray, bits: int = 8) -> np.ndarray:
    """uint8 activations of one range times int8 weights with a scale for each column, in float64."""
    low, high = min(x.min(), 0), max(x.max(), 0)
    step = np.float32((high - low) / 255)
    zero = np.rint(-low / step)
    codes = np.clip(np.rint(x / step) + zero, 0, 255) - zero
    top = 2 ** (bits - 1) - 1
    scale = np.abs(weight).max(axis=0) / top
    return np.asarray((codes @ np.rint(weight / scale)) * (scale * step))


@pytest.mark.parametrize("reduced", [True, False])
def test_products_are_those_of_rounded_numbers(tmp_path: Path, reduced: bool) -> None:
    weight = matrix(32, 16)
    graph = model([node("MatMul", ["x", "w"], "y")], {"w": weight}, X)
    found = apply(dynamic, graph, tmp_path, minimum_elements=0, reduce_range=reduced)
    expected = emulate(X["x"], weight, bits=7 if reduced else 8)
    assert np.allclose(run(found, X)[0], expected, atol=2e-3)
    assert run(found, X)[0] == pytest.approx(run(graph, X)[0], abs=0.5)
    codes = weights_of(found)["w_codes"]
    assert codes.dtype == np.int8
    assert np.abs(codes.astype(int)).max() == (63 if reduced else 127)


@pytest.mark.parametrize("weights", ["int8", "uint8"])
@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("reduce_range", [True, False])
def test_every_kind_of_grid_stays_close(
    tmp_path: Path, weights: str, per_channel: bool, symmetric: bool, reduce_range: bool
) -> None:
    graph = model([node("MatMul", ["x", "w"], "y")], {"w": matrix(32, 16) + 0.3}, X)
    found = apply(
        dynamic,
        graph,
        tmp_path,
        minimum_elements=0,
        weights=weights,
        per_channel=per_channel,
        symmetric=symmetric,
        reduce_range=reduce_range,
    )
    assert cosine(run(found, X)[0], run(graph, X)[0]) > 0.999


@pytest.mark.parametrize(("saturates", "top"), [(True, 63), (False, 127), (None, 63)])
def test_the_target_decides_about_the_range(tmp_path: Path, saturates: bool | None, top: int) -> None:
    graph = model([node("MatMul", ["x", "w"], "y")], {"w": matrix(32, 16)}, X)
    profile = Profile(name="a", description="b", int8_saturates=saturates)
    found = apply(dynamic, graph, tmp_path, profile, minimum_elements=0)
    assert np.abs(weights_of(found)["w_codes"].astype(int)).max() == top


@pytest.mark.parametrize("opset", [17, 20, 23])
def test_one_input_is_quantized_once_and_runtimes_fuse_the_rest(tmp_path: Path, opset: int) -> None:
    nodes = [
        *(node("MatMul", ["x", f"w{name}"], f"{name}_product") for name in "qkv"),
        *(node("Add", [f"{name}_product", f"b{name}"], name) for name in "qkv"),
        node("Sum", ["q", "k", "v"], "h"),
        node("MatMul", ["h", "wo"], "o"),
        node("Add", ["o", "bo"], "y"),
    ]
    constants = {f"w{name}": matrix(32, 32) for name in "qkvo"} | {f"b{name}": matrix(32) for name in "qkvo"}
    graph = model(nodes, constants, X, opset=opset)
    found = apply(dynamic, graph, tmp_path, minimum_elements=0)
    assert operators(found)["DynamicQuantizeLinear"] == 2
    assert cosine(run(found, X)[0], run(graph, X)[0]) > 0.999
    fused = optimized(found, tmp_path)
    assert fused["MatMulIntegerToFloat"] == 3
    assert fused["DynamicQuantizeMatMul"] == 1
    assert not {"Cast", "Mul", "Add", "MatMulInteger"} & set(fused)


def test_gemm_of_every_form(tmp_path: Path) -> None:
    feeds = {"x": matrix(32, 32)}
    for count, settings in enumerate([{}, {"transB": 1}, {"transA": 1}, {"alpha": 0.5, "beta": 2.0}]):
        constants = {"w": matrix(32, 32), "c": matrix(32)}
        graph = model([node("Gemm", ["x", "w", "c"], "y", **settings)], constants, feeds)
        found = apply(dynamic, graph, tmp_path / str(count), minimum_elements=0)
        assert "Gemm" not in operators(found)
        assert cosine(run(found, feeds)[0], run(graph, feeds)[0]) > 0.999


def test_a_weight_that_two_products_use_is_stored_once(tmp_path: Path) -> None:
    nodes = [
        node("Transpose", ["w"], "t", perm=[1, 0]),
        node("MatMul", ["x", "t"], "a"),
        node("Relu", ["a"], "r"),
        node("Transpose", ["w"], "u", perm=[1, 0]),
        node("MatMul", ["r", "u"], "y"),
    ]
    graph = model(nodes, {"w": matrix(32, 32)}, X)
    found = apply(dynamic, graph, tmp_path, minimum_elements=0)
    assert [array.shape for array in weights_of(found).values() if array.ndim == 2] == [(32, 32)]
    assert cosine(run(found, X)[0], run(graph, X)[0]) > 0.999


@pytest.mark.parametrize("copied", [True, False])
def test_a_tied_output_layer_and_its_embedding_share_one_table(tmp_path: Path, copied: bool) -> None:
    word, ids = matrix(200, 32), {"ids": np.array([[1, 199, 0]])}
    nodes = [
        node("Gather", ["word", "ids"], "h"),
        node("Relu", ["h"], "r"),
        *([] if copied else [node("Transpose", ["word"], "t", perm=[1, 0])]),
        node("MatMul", ["r", "t"], "y"),
    ]
    graph = model(nodes, {"word": word, **({"t": word.T} if copied else {})}, ids)
    found = apply(dynamic, graph, tmp_path)
    assert found.ByteSize() < 200 * 32 + 2 * 200 * 4 + 3000
    assert cosine(run(found, ids)[0], run(graph, ids)[0]) > 0.999


def test_fused_attention_becomes_qattention(tmp_path: Path) -> None:
    settings = {"domain": "com.microsoft", "num_heads": 4, "mask_filter_value": -1e4}
    feeds = {**X, "mask": np.array([[1, 1, 1, 0, 0], [1] * 5], np.int32)}
    for bias in ("b", ""):
        attention = node("Attention", ["x", "w", bias, "mask"], "y", **settings)
        graph = model([attention], {"w": matrix(32, 96) / 6, "b": matrix(96)}, feeds)
        found = apply(dynamic, graph, tmp_path / f"bias{bias}")
        assert operators(found) == {"DynamicQuantizeLinear": 1, "QAttention": 1}
        assert cosine(run(found, feeds)[0], run(graph, feeds)[0]) > 0.999


def test_attention_with_a_bias_on_its_scores_stays(tmp_path: Path) -> None:
    feeds = {**X, "scores": matrix(2, 4, 5, 5)}
    attention = node("Attention", ["x", "w", "b", "", "", "scores"], "a", domain="com.microsoft", num_heads=4)
    constants = {"w": matrix(32, 96) / 6, "b": matrix(96), "v": matrix(32, 32)}
    graph = model([attention, node("MatMul", ["a", "v"], "y")], constants, feeds)
    found = apply(dynamic, graph, tmp_path, minimum_elements=0)
    assert operators(found)["Attention"] == 1
    assert operators(found)["MatMulInteger"] == 1
    assert cosine(run(found, feeds)[0], run(graph, feeds)[0]) > 0.999


def test_what_cannot_be_quantized_stays_and_still_runs(tmp_path: Path) -> None:
    feeds = {"x": matrix(3, 8, 8)}
    nodes = [
        node("MatMul", ["left", "x"], "a"),
        node("MatMul", ["a", "batched"], "b"),
        node("MatMul", ["b", "v"], "c"),
        node("Add", ["b", "wide"], "d"),
        node("MatMul", ["d", "wide"], "y"),
    ]
    constants = {"left": matrix(8, 8), "batched": matrix(3, 8, 8), "v": matrix(8), "wide": matrix(8, 8)}
    graph = model(nodes, constants, feeds)
    found = apply(dynamic, graph, tmp_path, minimum_elements=0)
    assert operators(found)["MatMul"] == 2
    assert operators(found)["MatMulInteger"] == 1
    assert {"left", "batched", "wide"} <= set(weights_of(found))  # the last is added as well
    assert cosine(run(found, feeds)[0], run(graph, feeds)[0]) > 0.999


def test_weights_of_subgraphs_stay(tmp_path: Path) -> None:
    then = helper.make_graph([node("MatMul", ["h", "w"], "t")], "then", [], [value("t")])
    other = helper.make_graph([node("Identity", ["h"], "e")], "else", [], [value("e")])
    nodes = [node("MatMul", ["x", "w"], "h"), node("If", ["c"], "y", then_branch=then, else_branch=other)]
    feeds = {**X, "c": np.array(True)}
    graph = model(nodes, {"w": matrix(32, 32)}, feeds)
    found = apply(dynamic, graph, tmp_path, minimum_elements=0)
    assert {"w", "w_codes", "w_scale"} == set(weights_of(found))
    assert cosine(run(found, feeds)[0], run(graph, feeds)[0]) > 0.999


def test_nothing_to_quantize_says_so(tmp_path: Path) -> None:
    small = model([node("MatMul", ["x", "w"], "y")], {"w": matrix(32, 2)}, X)
    for count, config in enumerate([{}, {"minimum_elements": 0, "exclude": ("w",)}]):
        with pytest.raises(CompressError) as caught:
            apply(dynamic, small, tmp_path / str(count), **config)
        assert caught.value.code == "nothing-to-quantize"


def weights_of(graph: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}


def value(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)


def test_half_of_the_file_widens_to_the_same_product(tmp_path: Path) -> None:
    weight = matrix(64, 48)
    graph = model([node("MatMul", ["x", "w"], "y")], {"w": weight}, {"x": matrix(2, 5, 64)})
    feeds = [{"x": matrix(4, 5, 64)} for _ in range(4)]
    found = apply(dynamic, graph, tmp_path, feeds=feeds, minimum_elements=0, stored=4)
    x = {"x": matrix(2, 5, 64)}
    assert cosine(run(found, x)[0], run(graph, x)[0]) > 0.99
    assert weights_of(found)["w_nibbles"].nbytes == weight.size / 2
    assert optimized(found, tmp_path) == {"DynamicQuantizeMatMul": 1}


def test_calibration_lowers_what_four_bits_lose(tmp_path: Path) -> None:
    mixing = matrix(6, 64)
    inputs = [{"x": (matrix(8, 5, 6) @ mixing).astype(np.float32)} for _ in range(8)]
    graph = model([node("MatMul", ["x", "w"], "y")], {"w": matrix(64, 48)}, inputs[0])
    errors = []
    for items in (0, 64):
        found = apply(
            dynamic, graph, tmp_path / str(items), feeds=inputs[1:], minimum_elements=0, stored=4, items=items
        )
        errors.append(np.square(run(found, inputs[0])[0] - run(graph, inputs[0])[0]).mean())
    assert errors[1] < errors[0]


@pytest.mark.parametrize("wrong", [{"weights": "uint8"}, {"per_channel": False}, {"group_size": 48}])
def test_four_bits_need_plain_grids(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"stored|power"):
        dynamic.Config(stored=4, **wrong)
