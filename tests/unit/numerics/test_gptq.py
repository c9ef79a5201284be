"""GPTQ against the optimal-brain update it is derived from, written naively, and its own promises."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compress.numerics.gptq import gptq
from compress.numerics.groups import GroupGrid, fit_groups
from compress.numerics.hessian import Hessian, inverse_factor


def layer(rows: int, columns: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A matrix (rows, columns) and inputs (200, columns) whose channels are correlated, float32."""
    random = np.random.default_rng(seed)
    mixed = random.standard_normal((200, columns)) @ random.standard_normal((columns, columns))
    return random.standard_normal((rows, columns)).astype(np.float32), mixed.astype(np.float32)


def gathered(inputs: np.ndarray) -> np.ndarray:
    hessian = Hessian(inputs.shape[1])
    for part in np.array_split(inputs, 3):
        hessian.add(np.ascontiguousarray(part))
    return hessian.matrix


def nearest(value: np.ndarray, grid: GroupGrid, column: int) -> np.ndarray:
    group = column // grid.group_size
    scale, zero = grid.scales[:, group].astype(np.float64), grid.zeros[:, group].astype(np.float64)
    return (np.clip(np.rint(value / scale) + zero, 0, (1 << grid.bits) - 1) - zero) * scale


def naive_gptq(
    matrix: np.ndarray, hessian: np.ndarray, grid: GroupGrid, order: np.ndarray, damping: float
) -> np.ndarray:
    """Optimal brain quantization (equations 2 and 3 of the paper) in a fixed order, in float64: after each
    column the inverse Hessian of those that are left is computed anew.
    """
    damped = hessian.astype(np.float64) + damping * np.diag(hessian).mean() * np.eye(len(hessian))
    left = matrix.astype(np.float64).copy()
    for position, column in enumerate(order):
        rest = order[position:]
        inverse = np.linalg.inv(damped[np.ix_(rest, rest)])
        rounded = nearest(left[:, column], grid, column)
        error = (left[:, column] - rounded) / inverse[0, 0]
        left[:, rest] -= np.outer(error, inverse[0])
        left[:, column] = rounded
    return left


def loss(matrix: np.ndarray, rounded: np.ndarray, hessian: np.ndarray) -> float:
    difference = (matrix - rounded).astype(np.float64)
    return float(np.einsum("ni,ij,nj->", difference, hessian.astype(np.float64), difference))


def test_the_hessian_is_the_mean_of_outer_products() -> None:
    _, inputs = layer(1, 24)
    expected = inputs.astype(np.float64).T @ inputs / len(inputs)
    np.testing.assert_allclose(gathered(inputs), expected, rtol=2e-5, atol=1e-3)


@pytest.mark.parametrize("activation_order", [True, False])
def test_the_factor_is_of_the_inverse(activation_order: bool) -> None:
    hessian = gathered(layer(1, 24)[1])
    factor = inverse_factor(hessian, damping=0.01, activation_order=activation_order)
    assert factor is not None
    order = factor.order
    damped = hessian[np.ix_(order, order)] + 0.01 * np.diag(hessian).mean() * np.eye(24)
    np.testing.assert_allclose(factor.upper.T @ factor.upper @ damped, np.eye(24), atol=5e-3)
    assert np.array_equal(factor.upper, np.triu(factor.upper))
    assert not activation_order or (np.diff(np.diag(hessian)[order]) <= 0).all()


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([2, 3, 4, 8]),
    st.sampled_from([5, 16, 40]),
    st.booleans(),
    st.booleans(),
    st.integers(0, 9),
)
def test_it_is_the_optimal_brain_update(
    bits: int, group_size: int, symmetric: bool, activation_order: bool, seed: int
) -> None:
    matrix, inputs = layer(6, 40, seed)
    hessian = gathered(inputs)
    grid = fit_groups(matrix, bits=bits, group_size=group_size, symmetric=symmetric)
    factor = inverse_factor(hessian, damping=0.05, activation_order=activation_order)
    assert factor is not None
    codes = gptq(matrix, factor, grid)
    assert codes.max() < 1 << bits
    expected = naive_gptq(matrix, hessian, grid, factor.order, 0.05)
    # A value half way between two codes may fall either way in fp32, and all that follows with it.
    agreeing = np.isclose(grid.decode(codes), expected, atol=1e-4).all(axis=1)
    assert agreeing.mean() >= 0.6
    assert loss(matrix, grid.decode(codes), hessian) <= loss(matrix, expected, hessian) * 1.15 + 1e-6


def test_blocks_of_columns_and_parts_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix, inputs = layer(50, 72, 3)
    grid = fit_groups(matrix, bits=4, group_size=16, symmetric=False)
    factor = inverse_factor(gathered(inputs), damping=0.01, activation_order=True)
    assert factor is not None
    whole = gptq(matrix, factor, grid)
    monkeypatch.setattr("compress.numerics.gptq._BLOCK", 7)
    monkeypatch.setattr("compress.numerics.gptq._ROWS", 16)
    assert (gptq(matrix, factor, grid) == whole).mean() > 0.99


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_feedback_beats_rounding(bits: int) -> None:
    matrix, inputs = layer(64, 96, 1)
    hessian = gathered(inputs)
    grid = fit_groups(matrix, bits=bits, group_size=32, symmetric=False, importance=np.diag(hessian))
    factor = inverse_factor(hessian, damping=0.01, activation_order=True)
    assert factor is not None
    with_feedback = loss(matrix, grid.decode(gptq(matrix, factor, grid)), hessian)
    assert with_feedback < 0.7 * loss(matrix, grid.decode(grid.encode(matrix)), hessian)


def test_damping_grows_until_the_factorization_holds() -> None:
    inputs = np.ones((4, 30), np.float32)  # rank one
    factor = inverse_factor(gathered(inputs), damping=1e-9, activation_order=True)
    assert factor is not None
    assert factor.damping > 1e-9


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_what_is_no_hessian_has_no_factor(value: float) -> None:
    matrix = np.full((8, 8), value, np.float32)
    assert inverse_factor(matrix, damping=0.01, activation_order=True) is None


def test_a_dead_column_is_rounded_to_its_nearest_code() -> None:
    matrix, inputs = layer(8, 20)
    inputs[:, 4] = 0
    grid = fit_groups(matrix, bits=4, group_size=20, symmetric=True)
    factor = inverse_factor(gathered(inputs), damping=0.01, activation_order=True)
    assert factor is not None
    assert np.array_equal(gptq(matrix, factor, grid)[:, 4], grid.encode(matrix)[:, 4])


@pytest.mark.parametrize(("columns", "group_size", "groups"), [(40, 16, 3), (32, 16, 2), (10, 10, 1)])
def test_the_last_group_may_be_short(columns: int, group_size: int, groups: int) -> None:
    matrix, _ = layer(5, columns)
    grid = fit_groups(matrix, bits=8, group_size=group_size, symmetric=False)
    assert grid.scales.shape == (5, groups)
    assert np.abs(grid.decode(grid.encode(matrix)) - matrix).max() < 0.03
    last = matrix[:, (groups - 1) * group_size :]
    alone = fit_groups(last, bits=8, group_size=last.shape[1], symmetric=False)
    np.testing.assert_array_equal(grid.scales[:, -1:], alone.scales)
