"""4-bit codes that widen to 8-bit ones, against the arithmetic that they stand for."""

import numpy as np
import pytest

from compress.numerics.hessian import Hessian, inverse_factor
from compress.numerics.nested import nest

RANDOM = np.random.default_rng(3)


@pytest.mark.parametrize("columns", [32, 50, 64])
@pytest.mark.parametrize("high", [127, 63])
def test_widened_codes_are_eight_bit_ones_of_the_matrix(columns: int, high: int) -> None:
    matrix = RANDOM.standard_normal((6, columns)).astype(np.float32)
    nested = nest(matrix, group_size=16, high=high)
    wide = nested.widened()
    assert wide.dtype == np.int8
    assert np.abs(wide.astype(int)).max() <= high
    assert nested.codes.max() <= 15
    assert np.abs(nested.decoded() - matrix).max() < 0.3
    naive = [
        [
            round((int(nested.codes[n, k]) - 8) * int(nested.factor[n, k // 16]) / 7) * nested.scale[n, 0]
            for k in range(columns)
        ]
        for n in range(6)
    ]
    assert np.allclose(nested.decoded(), naive, atol=1e-6)


def test_it_is_about_as_close_as_a_grid_of_floats() -> None:
    matrix = RANDOM.standard_normal((16, 128)).astype(np.float32)
    error = np.square(nest(matrix, group_size=32, high=127).decoded() - matrix).mean()
    # 16 levels over the range of 32 normal numbers, about 4 deviations: a step of 0.27, squared over 12.
    assert error < 1.25 * 0.27**2 / 12


def test_rows_of_zeros_and_of_tiny_numbers_stay_what_they_are() -> None:
    matrix = np.zeros((3, 32), np.float32)
    matrix[1, :16] = 1e-6 * RANDOM.standard_normal(16)
    matrix[2, :16] = RANDOM.standard_normal(16)
    found = nest(matrix, group_size=16, high=127).decoded()
    assert not found[0].any()
    assert np.allclose(found[1], matrix[1], atol=5e-7)
    assert not found[2, 16:].any()


def test_columns_make_up_for_each_other() -> None:
    rows = RANDOM.standard_normal((400, 8)) @ RANDOM.standard_normal((8, 64))
    rows = (rows + 0.1 * RANDOM.standard_normal(rows.shape)).astype(np.float32)
    hessian = Hessian(64)
    hessian.add(rows)
    factor = inverse_factor(hessian.matrix, damping=0.01, activation_order=True)
    matrix = RANDOM.standard_normal((12, 64)).astype(np.float32)
    errors = [
        np.square(rows @ (nest(matrix, group_size=32, high=127, factor=one).decoded() - matrix).T).mean()
        for one in (None, factor)
    ]
    assert errors[1] < 0.5 * errors[0]
