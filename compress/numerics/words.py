"""Codes of any number of bits as one stream of bits in 32-bit words: how GPTQ checkpoints hold them.

Code i of a line takes the bits `bits * i .. bits * (i + 1) - 1` of the line, counted from the lowest bit of
its first word. For 2, 4 and 8 bits that is 32 / bits codes a word; for 3 bits 32 codes take three words,
two of them shared, which is what AutoGPTQ's packing of 10 + 1/3, 1/3 + 10 + 1/3 ... codes comes to.
"""

from __future__ import annotations

import numpy as np


def pack_words(codes: np.ndarray, *, bits: int) -> np.ndarray:
    """uint8 codes (L, M) packed along the first axis, int32 (L * bits / 32, M).

    Raises:
        ValueError: the bits of L codes fill no whole number of words.
    """
    if len(codes) * bits % 32:
        raise ValueError(f"{len(codes)} codes of {bits} bits fill no whole number of 32-bit words")
    single = (codes[:, None, :] >> np.arange(bits, dtype=np.uint8)[:, None]) & 1  # (L, bits, M)
    stream = single.reshape(-1, 32, codes.shape[1])  # (words, 32, M)
    places = np.arange(32, dtype=np.uint32)[:, None]
    words = np.bitwise_or.reduce(stream.astype(np.uint32) << places, axis=1)
    return np.ascontiguousarray(words).view(np.int32)


def unpack_words(words: np.ndarray, *, bits: int) -> np.ndarray:
    """The codes uint8 (L, M) again."""
    places = np.arange(32, dtype=np.uint32)[:, None]
    stream = (words.view(np.uint32)[:, None, :] >> places) & 1  # (words, 32, M)
    single = stream.reshape(-1, bits, words.shape[1]).astype(np.uint8)  # (L, bits, M)
    return np.asarray((single << np.arange(bits, dtype=np.uint8)[:, None]).sum(axis=1, dtype=np.uint8))
