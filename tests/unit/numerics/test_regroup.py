import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compress.numerics.regroup import block_size, to_blocks


@pytest.mark.parametrize(
    ("columns", "group", "block"),
    [
        (576, 32, 32),
        (576, 128, 128),
        (576, 576, 64),
        (576, 192, 64),
        (100, 100, 32),
        (64, 24, 0),
        (1024, 512, 256),
    ],
)
def test_blocks_hold_within_groups(columns, group, block):
    assert block_size(columns, group) == block


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 5),
    st.integers(1, 150),
    st.sampled_from([16, 32, 48, 64, 128, 512, 10**6]),
    st.sampled_from([2, 3, 4, 8]),
    st.booleans(),
    st.integers(0, 99),
)
def test_blocks_have_the_values_of_the_groups(rows, columns, group, bits, centred, seed):
    random = np.random.default_rng(seed)
    size = min(group, columns)
    if not block_size(columns, size):
        with pytest.raises(ValueError, match="multiple of 16"):
            to_blocks(*(np.zeros((rows, 1), np.uint8),) * 3, bits=bits, group_size=7)
        return
    groups = -(-columns // size)
    codes = random.integers(0, 1 << bits, (rows, columns), dtype=np.uint8)
    scales = random.random((rows, groups), dtype=np.float32) + 0.1
    middle = 8 if bits <= 4 else 128
    zeros = random.integers(0, 1 << bits, (rows, groups), dtype=np.uint8)
    zeros = np.full_like(zeros, middle) if centred else zeros
    packed = to_blocks(codes, scales, zeros, bits=bits, group_size=size)
    expected = np.empty((rows, columns), np.float32)
    for column in range(columns):
        place = column // size
        steps = codes[:, column].astype(int) - zeros[:, place].astype(int)
        expected[:, column] = steps * scales[:, place]
    np.testing.assert_allclose(packed.unpack(), expected, rtol=1e-6)
    assert not centred or packed.zero is None
