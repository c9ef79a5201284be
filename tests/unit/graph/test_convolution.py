"""Convolutions along time as products."""

from pathlib import Path

import pytest

from compress.core.errors import CompressError
from compress.graph.convolution import find_convolutions
from compress.graph.edit import Editor
from compress.passes.quantize import dynamic
from tests.unit.graphs import apply, cosine, matrix, model, node, operators, optimized, run


@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("pads", [[0, 0], [1, 1], [0, 2]])
@pytest.mark.parametrize("bias", [True, False])
def test_every_geometry(tmp_path: Path, kernel: int, stride: int, pads: list[int], bias: bool) -> None:
    constants = {"w": matrix(8, 32, kernel), **({"b": matrix(8)} if bias else {})}
    for length in (7, 8, 9):
        feeds = {"x": matrix(2, 32, length)}
        graph = model([node("Conv", ["x", *constants], "y", strides=[stride], pads=pads)], constants, feeds)
        found = apply(dynamic, graph, tmp_path / str(length), minimum_elements=0)
        ours, theirs = run(found, feeds)[0], run(graph, feeds)[0]
        assert ours.shape == theirs.shape
        assert cosine(ours, theirs) > 0.9995
        assert "Conv" not in operators(found)


def test_the_product_is_fused_with_its_bias(tmp_path: Path) -> None:
    feeds = {"x": matrix(2, 32, 9)}
    graph = model([node("Conv", ["x", "w", "b"], "y")], {"w": matrix(8, 32, 3), "b": matrix(8)}, feeds)
    fused = optimized(apply(dynamic, graph, tmp_path, minimum_elements=0), tmp_path)
    assert fused["MatMulIntegerToFloat"] == 1
    assert not {"Cast", "Mul", "Add"} & set(fused)


@pytest.mark.parametrize(
    ("shape", "settings"),
    [
        ((8, 4, 3), {}),  # few channels
        ((8, 32, 3), {"group": 2}),
        ((8, 64, 3), {"dilations": [2]}),
        ((8, 64, 3), {"auto_pad": "SAME_UPPER"}),
        ((8, 64, 3, 3), {}),
    ],
)
def test_others_stay(tmp_path: Path, shape: tuple[int, ...], settings: dict[str, object]) -> None:
    feeds = {"x": matrix(1, shape[1] * int(settings.get("group", 1)), *[9] * (len(shape) - 2))}  # type: ignore[call-overload]
    graph = model([node("Conv", ["x", "w"], "y", **settings)], {"w": matrix(*shape)}, feeds)
    assert not list(find_convolutions(Editor(graph)))
    with pytest.raises(CompressError):
        apply(dynamic, graph, tmp_path, minimum_elements=0)


def test_filters_that_are_computed_stay() -> None:
    feeds = {"x": matrix(1, 32, 9), "w": matrix(8, 32, 3)}
    assert not list(find_convolutions(Editor(model([node("Conv", ["x", "w"], "y")], {}, feeds))))
