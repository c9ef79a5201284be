"""Coordinate descent against what it promises: it never loses, and where it ends no single step gains."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compress.numerics.gptq import gptq
from compress.numerics.groups import fit_groups
from compress.numerics.hessian import inverse_factor
from compress.numerics.refine import refine
from tests.unit.numerics.test_gptq import gathered, layer, loss


def damped(inputs: np.ndarray) -> np.ndarray:
    hessian = gathered(inputs)
    return (hessian + 0.01 * np.diag(hessian).mean() * np.eye(len(hessian))).astype(np.float32)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([2, 3, 4, 8]), st.sampled_from([5, 16, 40]), st.booleans(), st.integers(0, 9))
def test_no_sweep_raises_the_error(bits: int, group_size: int, symmetric: bool, seed: int) -> None:
    matrix, inputs = layer(6, 40, seed)
    hessian = damped(inputs)
    grid = fit_groups(matrix, bits=bits, group_size=group_size, symmetric=symmetric)
    codes = grid.encode(matrix)
    before = loss(matrix, grid.decode(codes), hessian)
    for sweeps in range(3):
        better, found = refine(matrix, hessian, grid, codes, sweeps=sweeps)
        assert found.max() < 1 << bits
        assert np.array_equal(better.scales, better.scales.astype(np.float16))
        after = loss(matrix, better.decode(found), hessian)
        assert after <= before * 1.0001
        before = after


def test_where_it_ends_no_single_code_can_be_better() -> None:
    matrix, inputs = layer(4, 24, 2)
    hessian = damped(inputs)
    grid = fit_groups(matrix, bits=3, group_size=8, symmetric=False)
    grid, codes = refine(matrix, hessian, grid, grid.encode(matrix), sweeps=40)
    least = loss(matrix, grid.decode(codes), hessian)
    for row in range(4):
        for column in range(24):
            for code in range(8):
                other = codes.copy()
                other[row, column] = code
                assert loss(matrix, grid.decode(other), hessian) >= least * 0.9999


def test_scales_are_the_least_squares_solution() -> None:
    matrix, inputs = layer(5, 12, 3)
    hessian = damped(inputs)
    grid = fit_groups(matrix, bits=4, group_size=12, symmetric=True, half_scales=False)
    codes = grid.encode(matrix)
    better, same = refine(matrix, hessian, grid, codes, sweeps=0)
    assert np.array_equal(same, codes)
    steps = codes.astype(np.float64) - grid.zeros
    for row in range(5):
        weighted = hessian.astype(np.float64) @ steps[row]
        expected = weighted @ matrix[row] / (weighted @ steps[row])
        assert better.scales[row, 0] == pytest.approx(expected, rel=1e-4)


def test_it_lowers_the_error_of_gptq() -> None:
    matrix, inputs = layer(64, 96, 1)
    hessian = damped(inputs)
    grid = fit_groups(matrix, bits=4, group_size=32, symmetric=False)
    factor = inverse_factor(gathered(inputs), damping=0.01, activation_order=True)
    assert factor is not None
    codes = gptq(matrix, factor, grid)
    better, found = refine(matrix, hessian, grid, codes, sweeps=2)
    assert loss(matrix, better.decode(found), hessian) < 0.97 * loss(matrix, grid.decode(codes), hessian)


def test_parts_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix, inputs = layer(50, 40, 3)
    hessian = damped(inputs)
    grid = fit_groups(matrix, bits=4, group_size=16, symmetric=False)
    whole, codes = refine(matrix, hessian, grid, grid.encode(matrix), sweeps=1)
    monkeypatch.setattr("compress.numerics.refine._ROWS", 16)
    monkeypatch.setattr("compress.numerics.refine._BLOCK", 7)
    parts, others = refine(matrix, hessian, grid, grid.encode(matrix), sweeps=1)
    assert (codes == others).mean() > 0.99
    assert np.isclose(whole.scales, parts.scales, rtol=1e-2).mean() > 0.98
