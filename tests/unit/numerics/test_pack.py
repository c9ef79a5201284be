"""Packed bytes against fixed ones, ONNX Runtime's own packer and its kernels."""

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.capi import _pybind_state as native

from compress.numerics.grid import Grid, unsigned
from compress.numerics.pack import Packed, pack_codes, round_to_blocks, split_blocks


def matrix(rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((rows, columns)).astype(np.float32)


def test_golden_bytes() -> None:
    codes = np.arange(16, dtype=np.uint8).reshape(1, 1, 16)
    grid = Grid(unsigned(4), np.full((1, 1), 0.5, np.float32), np.full((1, 1), 3, np.int32))
    packed = pack_codes(codes, grid, bits=4, columns=15, symmetric=False)
    assert packed.data.tobytes().hex() == "1032547698badcfe"
    assert packed.zero is not None
    assert packed.zero.tobytes().hex() == "83"
    assert packed.rows.shape == (1, 8)
    assert packed.unpack().tolist() == [[(code - 3) * 0.5 for code in range(15)]]


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("columns", [64, 80])
def test_our_layout_is_that_of_onnxruntimes_packer(bits: int, symmetric: bool, columns: int) -> None:
    """Take the codes out of the bytes that its quantizer wrote, and pack them again."""
    rows, block = 6, 32
    weight = matrix(rows, columns)
    count = -(-columns // block)
    data = np.zeros((rows, count, block * bits // 8), np.uint8)
    zeros = np.zeros((rows, -(-count * bits // 8)), np.uint8)
    scales = np.zeros((rows, count), np.float32)
    pack = native.quantize_matmul_4bits if bits == 4 else native.quantize_matmul_8bits
    padded = np.pad(weight, ((0, 0), (0, count * block - columns))).T.copy()
    pack(data, padded, scales, zeros, block, rows, columns, symmetric)
    theirs = Packed(bits, block, columns, data, scales, None if symmetric else zeros)
    step = np.abs(scales).max()
    assert np.abs(theirs.unpack() - weight).max() <= step * 1.01
    nibbles = data if bits == 8 else np.stack([data & 15, data >> 4], -1).reshape(rows, count, block)
    zero = np.full((rows * count, 1), 1 << (bits - 1), np.int32)
    if not symmetric:
        halves = zeros if bits == 8 else np.stack([zeros & 15, zeros >> 4], -1).reshape(rows, -1)
        zero = halves[:, :count].reshape(-1, 1).astype(np.int32)
    grid = Grid(unsigned(bits), scales.reshape(-1, 1), zero)
    ours = pack_codes(nibbles, grid, bits=bits, columns=columns, symmetric=symmetric)
    assert np.array_equal(ours.data, data)
    assert symmetric or np.array_equal(ours.zero, zeros)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize(("columns", "block"), [(64, 16), (96, 32), (100, 32), (40, 64), (300, 256)])
def test_matmulnbits_computes_with_what_unpack_says(
    bits: int, symmetric: bool, columns: int, block: int
) -> None:
    packed = round_to_blocks(matrix(5, columns), bits=bits, block_size=block, symmetric=symmetric)
    constants = {"b": packed.data, "s": packed.scale}
    if packed.zero is not None:
        constants["z"] = packed.zero
    node = helper.make_node(
        "MatMulNBits",
        ["x", *constants],
        ["y"],
        domain="com.microsoft",
        K=columns,
        N=5,
        bits=bits,
        block_size=block,
    )
    y = run(node, constants, np.eye(columns, dtype=np.float32), TensorProto.FLOAT)
    assert np.allclose(y.T, packed.unpack(), atol=1e-6)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize(("columns", "block"), [(64, 16), (96, 32), (100, 32), (50, 64)])
def test_gatherblockquantized_reads_the_same_rows(
    bits: int, symmetric: bool, columns: int, block: int
) -> None:
    packed = round_to_blocks(matrix(9, columns), bits=bits, block_size=block, symmetric=symmetric)
    constants = {"b": packed.rows, "s": packed.scale}
    if packed.zero is not None:
        constants["z"] = packed.zero
    names = list(constants)
    node = helper.make_node(
        "GatherBlockQuantized",
        [names[0], "x", *names[1:]],
        ["y"],
        domain="com.microsoft",
        bits=bits,
        block_size=block,
    )
    picked = np.array([[3, 0], [8, 3]])
    assert np.array_equal(run(node, constants, picked, TensorProto.INT64), packed.unpack()[picked])


def test_padding_decodes_to_nothing_and_errors_are_small() -> None:
    weight = matrix(4, 50)
    packed = round_to_blocks(weight, bits=8, block_size=32, symmetric=False)
    assert packed.unpack().shape == (4, 50)
    assert np.abs(packed.unpack() - weight).max() < 0.02
    assert np.array_equal(split_blocks(weight, 32).reshape(4, -1)[:, 50:], np.zeros((4, 14)))


def test_importance_follows_the_columns_through_blocks_and_padding() -> None:
    weight = matrix(30, 40)
    importance = np.where(np.arange(40) % 8 == 0, 100, 1).astype(np.float32)
    errors = [
        np.square(
            round_to_blocks(weight, bits=4, block_size=16, symmetric=True, importance=choice).unpack()
            - weight
        )
        for choice in (None, importance)
    ]
    assert (errors[1] * importance).sum() < 0.9 * (errors[0] * importance).sum()


def run(node: object, constants: dict[str, np.ndarray], x: np.ndarray, kind: int) -> np.ndarray:
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", kind, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in constants.items()],
    )
    sets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=sets, ir_version=10)
    return ort.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]
