"""8-bit matrices that are stored in 4 bits and widened by the runtime while it loads the graph.

Runtimes compute what depends on constants alone once, so the kernels, and their speed, are those of 8-bit
products. Only plain operators on floats are used, which every operator set since 11 and every runtime has:
ONNX's own 4-bit types need operator set 21.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto

from compress.graph.quantized import Matrix
from compress.numerics.nested import MIDDLE, PARTS

if TYPE_CHECKING:
    from compress.graph.edit import Editor
    from compress.numerics.nested import Nested


def store_nested(editor: Editor, nested: Nested, hint: str) -> Matrix:
    """Add a matrix (N, K) to the graph as (K, N): two codes a byte, a factor a group, a scale a row."""
    padded = _padded(nested.codes, nested.group_size).T  # (K', N), K' whole groups
    codes = _unpacked(editor, padded, hint)
    whole, columns = padded.shape
    grouped = (whole // nested.group_size, nested.group_size, columns)
    parts = editor.derive("Reshape", [codes, _numbers(editor, grouped)], f"{hint}_grouped")
    factor = editor.add(np.ascontiguousarray(nested.factor.T[:, None]), f"{hint}_factor")  # (groups, 1, N)
    factor = editor.derive("Cast", [factor], f"{hint}_factor_float", to=TensorProto.FLOAT)
    steps = editor.derive("Mul", [parts, factor], f"{hint}_steps")
    steps = editor.derive("Div", [steps, _number(editor, PARTS)], f"{hint}_eighth")
    flat = editor.derive("Reshape", [steps, _numbers(editor, (whole, columns))], f"{hint}_flat")
    kept = nested.codes.shape[1]
    if kept < whole:
        ends = [_numbers(editor, (0,)), _numbers(editor, (kept,)), _numbers(editor, (0,))]
        flat = editor.derive("Slice", [flat, *ends], f"{hint}_cut")
    rounded = editor.derive("Round", [flat], f"{hint}_rounded")
    wide = editor.derive("Cast", [rounded], f"{hint}_codes", to=TensorProto.INT8)
    return Matrix(codes=wide, scale=editor.add(nested.scale.ravel(), f"{hint}_scale"))


def _padded(codes: np.ndarray, group_size: int) -> np.ndarray:
    """Whole groups, and an even number of columns."""
    size = group_size * (1 + group_size % 2)
    missing = -codes.shape[1] % size
    return np.pad(codes, ((0, 0), (0, missing)), constant_values=MIDDLE)


def _unpacked(editor: Editor, codes: np.ndarray, hint: str) -> str:
    """`codes` - 8 as floats (K', N), from bytes (K' / 2, N) whose low half is of the first K' / 2 rows."""
    first, second = np.split(codes, 2)
    packed = editor.add(first | (second << 4), f"{hint}_nibbles")
    both = editor.derive("Cast", [packed], f"{hint}_bytes", to=TensorProto.FLOAT)
    sixteenths = editor.derive("Div", [both, _number(editor, 16)], f"{hint}_sixteenths")
    high = editor.derive("Floor", [sixteenths], f"{hint}_high")
    shifted = editor.derive("Mul", [high, _number(editor, 16)], f"{hint}_shifted")
    low = editor.derive("Sub", [both, shifted], f"{hint}_low")
    whole = editor.derive("Concat", [low, high], f"{hint}_halves", axis=0)
    return editor.derive("Sub", [whole, _number(editor, MIDDLE)], f"{hint}_signed")


def _number(editor: Editor, value: int) -> str:
    """A float constant; each is stored once."""
    return _once(editor, np.array(value, np.float32), f"number_{value}")


def _numbers(editor: Editor, values: tuple[int, ...]) -> str:
    return _once(editor, np.array(values, np.int64), "shape_" + "_".join(map(str, values)))


def _once(editor: Editor, array: np.ndarray, name: str) -> str:
    stored = editor.stored(name)
    known = stored is not None and stored.dtype == array.dtype and np.array_equal(stored, array)
    return name if known else editor.add(array, name)
