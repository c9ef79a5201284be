"""Grids against brute force over scales, zeros and codes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from compress.numerics.grid import (
    Codes,
    Grid,
    fit_grid,
    quantization_error,
    signed,
    unsigned,
    with_half_scales,
)

KINDS = [(unsigned(4), True), (unsigned(4), False), (unsigned(8), True), (signed(8), True), (signed(7), True)]
finite = st.floats(-1e3, 1e3, width=32)
matrices = hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=finite)


def normal(groups: int, size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((groups, size)).astype(np.float32)


@pytest.mark.parametrize(("codes", "symmetric"), KINDS)
@given(values=matrices)
@settings(max_examples=40, deadline=None)
def test_search_never_loses_and_codes_stay_in_range(
    codes: Codes, symmetric: bool, values: np.ndarray
) -> None:
    spanning = fit_grid(values, codes=codes, symmetric=symmetric, search=False)
    searched = fit_grid(values, codes=codes, symmetric=symmetric, search=True)
    before, after = (quantization_error(values, grid) for grid in (spanning, searched))
    assert (after <= before).all()
    taken = searched.encode(values).astype(int)
    assert taken.min() >= codes.low
    assert taken.max() <= codes.high
    assert np.isfinite(searched.scale).all()
    assert (searched.scale != 0).all()


@pytest.mark.parametrize(("codes", "symmetric"), KINDS)
@given(values=matrices)
@settings(max_examples=40, deadline=None)
def test_the_spanning_grid_errs_by_half_a_step_at_most(
    codes: Codes, symmetric: bool, values: np.ndarray
) -> None:
    grid = fit_grid(values, codes=codes, symmetric=symmetric, search=False)
    error = np.abs(grid.decode(grid.encode(values)) - values)
    # The largest number of the side with one code less is clipped by up to one step; a zero point that
    # was rounded moves both ends by half a step.
    steps = 1.0 if not symmetric or codes.low == 0 else 0.5
    assert (error <= np.abs(grid.scale) * steps * 1.001 + 1e-6).all()


@given(values=matrices)
@settings(max_examples=40, deadline=None)
def test_encode_finds_the_nearest_code(values: np.ndarray) -> None:
    grid = fit_grid(values, codes=unsigned(4), symmetric=False)
    every = np.arange(16).reshape(1, 1, 16)
    levels = (every - grid.zero[..., None]) * grid.scale[..., None].astype(np.float64)
    least = np.abs(levels - values[..., None]).min(axis=-1)
    found = np.abs(grid.decode(grid.encode(values)) - values.astype(np.float64))
    assert np.allclose(found, least, rtol=1e-5, atol=1e-5 * np.abs(grid.scale).max())


@pytest.mark.parametrize("size", [16, 32, 128])
@pytest.mark.parametrize("symmetric", [True, False])
def test_search_comes_close_to_the_best_of_all_grids(size: int, symmetric: bool) -> None:
    values = normal(200, size)
    low, high = values.min(axis=1, keepdims=True), values.max(axis=1, keepdims=True)
    best = np.full((200, 1), np.inf)
    for share in np.linspace(0.4, 1.2, 81):
        for zero in [8] if symmetric else range(16):
            for sign in (1, -1):
                width = 2 * np.maximum(-low, high) if symmetric else high - low
                scale = (sign * share * width / 15).astype(np.float32)
                grid = Grid(unsigned(4), scale, np.full_like(scale, zero, dtype=np.int32))
                best = np.minimum(best, quantization_error(values, grid))
    found = quantization_error(values, fit_grid(values, codes=unsigned(4), symmetric=symmetric))
    assert found.sum() <= (1.07 if size == 16 else 1.03) * best.sum()


def test_importance_moves_the_error_to_where_it_matters_less() -> None:
    values = normal(50, 32)
    importance = np.where(np.arange(32) < 4, 100, 1).astype(np.float32)
    plain = fit_grid(values, codes=unsigned(4))
    weighted = fit_grid(values, codes=unsigned(4), importance=importance)
    by_row = fit_grid(values, codes=unsigned(4), importance=np.tile(importance, (50, 1)))
    errors = [quantization_error(values, grid, importance=importance).sum() for grid in (plain, weighted)]
    assert errors[1] < 0.9 * errors[0]
    assert np.array_equal(weighted.scale, by_row.scale)


def test_large_inputs_are_cut_into_parts_that_give_the_same() -> None:
    values = normal(3000, 128)
    whole = fit_grid(values, codes=unsigned(4), symmetric=False)
    first = fit_grid(values[:7], codes=unsigned(4), symmetric=False)
    assert np.array_equal(whole.scale[:7], first.scale)
    assert np.array_equal(whole.encode(values)[:7], first.encode(values[:7]))


def test_constants_and_zeros_are_exact() -> None:
    values = np.array([[0, 0, 0], [2.5, 2.5, 2.5], [-3, -3, -3], [1e-30, 0, 0]], np.float32)
    for codes, symmetric in KINDS:
        grid = fit_grid(values, codes=codes, symmetric=symmetric)
        assert np.allclose(grid.decode(grid.encode(values)), values, rtol=1e-6, atol=1e-29)


def test_seven_bits_cannot_overflow_sixteen_in_pairs() -> None:
    assert 2 * 255 * signed(7).high <= np.iinfo(np.int16).max
    assert 2 * 255 * signed(7).low >= np.iinfo(np.int16).min
    assert 2 * 255 * signed(8).high > np.iinfo(np.int16).max


def test_half_scales_are_exact_in_fp16_or_left() -> None:
    grid = fit_grid(normal(20, 32), codes=unsigned(4))
    half = with_half_scales(grid)
    assert np.array_equal(half.scale, half.scale.astype(np.float16).astype(np.float32))
    assert np.allclose(half.scale, grid.scale, rtol=2**-11)
    tiny = fit_grid(normal(20, 32) * 1e-6, codes=unsigned(4))
    assert with_half_scales(tiny) is tiny
