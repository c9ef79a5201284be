"""MXFP4 against its definition, and against transformers' own reader."""

import numpy as np
import pytest
import torch

from compress.numerics.mxfp4 import BLOCK, dequantize


def by_definition(code: int, exponent: int) -> float:
    """E2M1 (exponent bias 1, subnormal at exponent 0) times E8M0."""
    sign, power, fraction = code >> 3, (code >> 1) & 3, code & 1
    value = fraction / 2 if power == 0 else (1 + fraction / 2) * 2.0 ** (power - 1)
    return (-1) ** sign * value * 2.0 ** (exponent - 127)


@pytest.mark.parametrize("exponent", [0, 1, 100, 127, 130, 251])
def test_all_codes_are_what_the_format_defines(exponent):
    codes = np.arange(BLOCK) % 16
    packed = (codes[::2] | codes[1::2] << 4).astype(np.uint8).reshape(1, 1, 16)
    found = dequantize(packed, np.array([[exponent]], dtype=np.uint8))
    assert found[0].tolist() == [by_definition(code, exponent) for code in codes]
    assert torch.equal(torch.from_numpy(found).bfloat16().float(), torch.from_numpy(found))


def test_blocks_lie_in_their_order_and_a_scale_that_is_no_number_gives_none():
    blocks = np.random.default_rng(0).integers(0, 256, (3, 2, 16), dtype=np.uint8)
    scales = np.array([[127, 130], [120, 127], [127, 255]], dtype=np.uint8)
    found = dequantize(blocks, scales)
    for row in range(3):
        for place in range(2 * BLOCK):
            byte = int(blocks[row, place // BLOCK, place % BLOCK // 2])
            code, exponent = byte >> 4 * (place % 2) & 15, int(scales[row, place // BLOCK])
            value = float(found[row, place])
            assert np.isnan(value) if exponent == 255 else value == by_definition(code, exponent)


def test_transformers_reads_the_same():
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors

    generator = torch.Generator().manual_seed(1)
    blocks = torch.randint(0, 256, (2, 5, 3, 16), dtype=torch.uint8, generator=generator)
    scales = torch.randint(90, 140, (2, 5, 3), dtype=torch.uint8, generator=generator)
    expected = convert_moe_packed_tensors(blocks, scales)  # (2, 96, 5)
    found = np.stack([dequantize(*one).T for one in zip(blocks.numpy(), scales.numpy(), strict=True)])
    np.testing.assert_array_equal(found, expected.float().numpy())
