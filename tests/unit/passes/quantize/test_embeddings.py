"""Quantized look-ups against the tables that were stored."""

from pathlib import Path

import numpy as np
import pytest

from compress.core.errors import CompressError
from compress.numerics.pack import round_to_blocks
from compress.passes.quantize import dynamic, embeddings
from tests.unit.graphs import apply, cosine, matrix, model, node, operators, run

IDS = {"ids": np.array([[1, 4, 299], [0, -1, 4]])}


def lookup(*, table: np.ndarray, narrow: bool = False) -> object:
    nodes = [
        *([node("Cast", ["ids"], "narrow", to=6)] if narrow else []),
        node("Gather", ["word", "narrow" if narrow else "ids"], "y"),
    ]
    return model(nodes, {"word": table}, IDS)


@pytest.mark.parametrize("narrow", [True, False])
def test_eight_bits_use_standard_operators_and_a_scale_a_row(tmp_path: Path, narrow: bool) -> None:
    table = matrix(300, 72)
    found = apply(embeddings, lookup(table=table, narrow=narrow), tmp_path)
    scale = np.abs(table).max(axis=1, keepdims=True) / 127
    assert np.allclose(run(found, IDS)[0], (np.rint(table / scale) * scale)[IDS["ids"]], atol=1e-6)
    assert not any(one.domain for one in found.graph.node)
    assert found.ByteSize() < 300 * 72 + 300 * 4 + 1000


@pytest.mark.parametrize("narrow", [True, False])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("block_size", [16, 32, 128])
def test_four_bits_use_blocks(tmp_path: Path, narrow: bool, symmetric: bool, block_size: int) -> None:
    table = matrix(300, 72)
    settings = {"bits": 4, "block_size": block_size, "symmetric": symmetric}
    found = apply(embeddings, lookup(table=table, narrow=narrow), tmp_path, **settings)
    rounded = round_to_blocks(table, half_scales=True, **settings).unpack()
    assert np.allclose(run(found, IDS)[0], rounded[IDS["ids"]], atol=1e-6)
    assert cosine(run(found, IDS)[0], table[IDS["ids"]]) > 0.98


def test_rows_of_half_a_byte_fall_back_to_eight_bits(tmp_path: Path) -> None:
    table = matrix(300, 73)
    found = apply(embeddings, lookup(table=table), tmp_path, bits=4)
    assert cosine(run(found, IDS)[0], table[IDS["ids"]]) > 0.999


@pytest.mark.parametrize(("bits", "limit"), [(4, 0.95), (8, 0.999)])
def test_a_tied_output_layer_shares_the_table(tmp_path: Path, bits: int, limit: float) -> None:
    word = matrix(300, 72)
    nodes = [
        node("Gather", ["word", "ids"], "h"),
        node("Relu", ["h"], "r"),
        node("MatMul", ["r", "copy"], "y"),
    ]
    graph = model(nodes, {"word": word, "copy": word.T}, IDS)
    found = apply(embeddings, graph, tmp_path, bits=bits, block_size=32)
    assert operators(found)["MatMulNBits"] == operators(found)["GatherBlockQuantized"] == 1
    assert found.ByteSize() < 300 * 96 * bits / 8 + 300 * 3 * 3 + 3000
    assert cosine(run(found, IDS)[0], run(graph, IDS)[0]) > limit


def test_four_bit_tables_beside_int8_products(tmp_path: Path) -> None:
    nodes = [node("Gather", ["word", "ids"], "h"), node("MatMul", ["h", "w"], "y")]
    graph = model(nodes, {"word": matrix(300, 72), "w": matrix(72, 72)}, IDS)
    first = apply(dynamic, graph, tmp_path / "first")
    found = apply(embeddings, first, tmp_path / "second", bits=4)
    assert operators(found)["MatMulInteger"] == operators(found)["GatherBlockQuantized"] == 1
    assert cosine(run(found, IDS)[0], run(graph, IDS)[0]) > 0.98


def test_no_table_says_so(tmp_path: Path) -> None:
    for count, config in enumerate([{"minimum_bytes": 1 << 20}, {"exclude": ("word",)}]):
        with pytest.raises(CompressError) as caught:
            apply(embeddings, lookup(table=matrix(300, 72)), tmp_path / str(count), **config)
        assert caught.value.code == "nothing-to-quantize"
