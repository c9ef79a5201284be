"""Packed words against AutoGPTQ's packing, written as its loops are, and bytes worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compress.numerics.words import pack_words, unpack_words


def autogptq(codes: np.ndarray, bits: int) -> np.ndarray:
    """`QuantLinear.pack` of AutoGPTQ 0.7.1: along the input axis, three words at once for 3 bits."""
    codes = codes.astype(np.uint32)
    words = np.zeros((len(codes) * bits // 32, codes.shape[1]), np.uint32)
    i = row = 0
    while row < len(words):
        if bits in (2, 4, 8):
            for j in range(i, i + 32 // bits):
                words[row] |= codes[j] << np.uint32(bits * (j - i))
            i += 32 // bits
            row += 1
            continue
        for j in range(i, i + 10):
            words[row] |= codes[j] << np.uint32(3 * (j - i))
        i += 10
        words[row] |= codes[i] << np.uint32(30)
        row += 1
        words[row] |= (codes[i] >> np.uint32(2)) & np.uint32(1)
        i += 1
        for j in range(i, i + 10):
            words[row] |= codes[j] << np.uint32(3 * (j - i) + 1)
        i += 10
        words[row] |= codes[i] << np.uint32(31)
        row += 1
        words[row] |= (codes[i] >> np.uint32(1)) & np.uint32(3)
        i += 1
        for j in range(i, i + 10):
            words[row] |= codes[j] << np.uint32(3 * (j - i) + 2)
        i += 10
        row += 1
    return words.astype(np.int32)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([2, 3, 4, 8]), st.integers(1, 4), st.integers(1, 5), st.integers(0, 99))
def test_words_are_those_of_autogptq(bits: int, blocks: int, columns: int, seed: int) -> None:
    codes = np.random.default_rng(seed).integers(0, 1 << bits, (32 * blocks, columns), np.uint8)
    words = pack_words(codes, bits=bits)
    assert words.dtype == np.int32
    np.testing.assert_array_equal(words, autogptq(codes, bits))
    np.testing.assert_array_equal(unpack_words(words, bits=bits), codes)


@pytest.mark.parametrize(
    ("bits", "codes", "expected"),
    [
        (4, [1, 2, 3, 4, 5, 6, 7, 8], "21436587"),
        (8, [1, 255, 0, 128], "01ff0080"),
        (2, [0, 1, 2, 3] * 4, "e4e4e4e4"),
        (3, [1, *[0] * 9, 7, *[0] * 10, 7, *[0] * 10], "010000c00100008003000000"),
    ],
)
def test_golden_bytes(bits: int, codes: list[int], expected: str) -> None:
    assert pack_words(np.array(codes, np.uint8)[:, None], bits=bits).tobytes().hex() == expected


def test_half_filled_words_are_refused() -> None:
    with pytest.raises(ValueError, match="whole number"):
        pack_words(np.zeros((12, 1), np.uint8), bits=4)
