"""Scaled channels: the products they leave alone, and the errors they lower."""

from functools import partial

import numpy as np
import pytest

from compress.numerics.groups import fit_groups
from compress.numerics.hessian import Hessian
from compress.numerics.scaling import STRENGTHS, best_scaling
from tests.unit.numerics.test_gptq import gathered, layer, loss

FIT = partial(fit_groups, bits=3, group_size=32, symmetric=False)


def fit(matrix: np.ndarray, importance: np.ndarray) -> object:
    return FIT(matrix, importance=importance)


def uneven(columns: int = 64) -> tuple[list[np.ndarray], np.ndarray]:
    """Two matrices, and inputs a few channels of which are thirty times as large."""
    matrix, inputs = layer(80, columns, 3)
    inputs[:, ::16] *= 30
    return [matrix[:50], matrix[50:]], inputs


def error(matrices: list[np.ndarray], hessian: np.ndarray, factors: np.ndarray) -> float:
    total = 0.0
    for matrix in matrices:
        grid = FIT(matrix * factors, importance=np.diag(hessian) / factors**2)
        total += loss(matrix, grid.decode(grid.encode(matrix * factors)) / factors, hessian)
    return total


def test_the_best_of_the_powers_is_chosen() -> None:
    matrices, inputs = uneven()
    hessian = gathered(inputs)
    factors = best_scaling(matrices, hessian, fit)
    size = np.sqrt(np.square(inputs, dtype=np.float64).mean(axis=0))
    candidates = [size**strength for strength in STRENGTHS]
    candidates = [one / np.sqrt(one.max() * one.min()) for one in candidates]
    errors = [error(matrices, hessian, one.astype(np.float32)) for one in candidates]
    assert np.argmin(errors) > 0
    np.testing.assert_allclose(factors, candidates[int(np.argmin(errors))], rtol=1e-3)
    assert error(matrices, hessian, factors) < 0.8 * errors[0]


def test_rows_are_sampled() -> None:
    matrix, inputs = layer(3000, 32, 1)
    inputs[:, 3] *= 40
    seen = []

    def watched(sample: np.ndarray, importance: np.ndarray) -> object:
        seen.append(len(sample))
        return fit(sample, importance)

    assert best_scaling([matrix[:2000], matrix[2000:]], gathered(inputs), watched).max() > 1
    assert max(seen) <= 260


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_without_inputs_nothing_is_scaled(value: float) -> None:
    matrices, _ = uneven()
    assert (best_scaling(matrices, np.full((64, 64), value, np.float32), fit) == 1).all()


def test_a_dead_channel_keeps_its_factor_finite() -> None:
    matrices, inputs = uneven()
    inputs[:, 5] = 0
    factors = best_scaling(matrices, gathered(inputs), fit)
    assert np.isfinite(factors).all()
    assert (factors > 0).all()


def test_a_hessian_divided_is_that_of_divided_rows() -> None:
    _, inputs = layer(1, 20)
    factors = np.linspace(0.5, 3, 20).astype(np.float32)
    hessian = Hessian(20)
    hessian.add(np.ascontiguousarray(inputs))
    hessian.divide(factors)
    np.testing.assert_allclose(hessian.matrix, gathered(inputs / factors), rtol=1e-3, atol=1e-3)
