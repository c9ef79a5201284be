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
    packed = torch.from_numpy((codes[::2] | codes[1::2] << 4).astype(np.uint8)).reshape(1, 1, 16)
    found = dequantize(packed, torch.tensor([[exponent]], dtype=torch.uint8))
    assert found.dtype == torch.bfloat16
    assert found[0].double().tolist() == [by_definition(code, exponent) for code in codes]


def test_blocks_lie_in_their_order_and_a_scale_that_is_no_number_gives_none():
    generator = torch.Generator().manual_seed(0)
    blocks = torch.randint(0, 256, (3, 2, 16), dtype=torch.uint8, generator=generator)
    scales = torch.tensor([[127, 130], [120, 127], [127, 255]], dtype=torch.uint8)
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
    found = torch.stack([dequantize(*one).T for one in zip(blocks, scales, strict=True)])
    assert torch.equal(found, expected)
