from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from compress.numerics.hessian import Hessian


@pytest.mark.parametrize("size", [1, 255, 256, 257, 600])
def test_it_is_the_mean_of_outer_products(size):
    rows = np.random.default_rng(size).standard_normal((40, size)).astype(np.float32)
    factors = np.linspace(0.5, 2, size).astype(np.float32)
    hessian = Hessian(size)
    hessian.add(rows[:30])
    hessian.add(rows[30:])
    np.testing.assert_allclose(hessian.matrix, rows.T @ rows / 40, atol=1e-5)
    hessian.divide(factors)
    divided = rows / factors
    np.testing.assert_allclose(hessian.matrix, divided.T @ divided / 40, atol=1e-5)
    assert np.array_equal(hessian.matrix, hessian.matrix.T)


def test_its_matrix_takes_the_memory_of_one():
    hessian = Hessian(1024)
    hessian.add(np.ones((4, 1024), np.float32))
    tracemalloc.start()
    made = hessian.matrix
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1.5 * made.nbytes
