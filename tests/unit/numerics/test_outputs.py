"""Feedback across outputs against the exact minimum of what it minimizes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.numerics.gptq import gptq
from compress.numerics.groups import fit_groups
from compress.numerics.hessian import inverse_factor
from compress.numerics.outputs import parts, round_in_turn
from tests.unit.numerics.test_gptq import gathered, layer


def curvature(size: int, seed: int = 5) -> np.ndarray:
    random = np.random.default_rng(seed)
    mixed = random.standard_normal((4 * size, size)) @ random.standard_normal((size, size))
    return np.asarray(mixed.T @ mixed / len(mixed), np.float32)


def loss(difference: np.ndarray, outputs: np.ndarray, inputs: np.ndarray) -> float:
    """tr(S E H E^T)"""
    return float(np.einsum("mn,nk,kl,ml->", outputs, difference, inputs, difference))


def halves(wanted: np.ndarray) -> np.ndarray:
    """A rounding by which the order of what is asked for is of no matter."""
    return np.asarray(np.rint(wanted * 2) / 2, np.float32)


@given(st.integers(1, 12), st.integers(1, 5), st.integers(0, 9))
def test_rows_move_to_the_minimum_given_what_was_rounded(size: int, rows: int, seed: int) -> None:
    matrix, _ = layer(size, 7, seed)
    block = curvature(size, seed)
    damped = block.astype(np.float64) + 0.01 * np.diag(block).mean() * np.eye(size)
    done: list[int] = []
    errors = np.zeros((size, 7))

    def solve(places: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        left = [row for row in range(size) if row not in done]
        # d tr(S E H E^T) / d E_left = 0, whatever H is: S_ll E_l + S_ld E_d = 0
        minimum = -np.linalg.solve(damped[np.ix_(left, left)], damped[np.ix_(left, done)] @ errors[done])
        moved = matrix.copy()
        moved[left] = matrix[left] - minimum
        np.testing.assert_allclose(wanted, moved[places], rtol=2e-2, atol=2e-2)
        values = halves(wanted)
        errors[places] = matrix[places] - values
        done.extend(places.tolist())
        return values

    round_in_turn(matrix, parts([block]), solve, rows=rows)
    assert sorted(done) == list(range(size))


def test_it_beats_feedback_across_inputs_alone() -> None:
    matrix, x = layer(48, 64, 2)
    inputs, outputs = gathered(x), curvature(48)
    grid = fit_groups(matrix, bits=3, group_size=32, symmetric=False)
    factor = inverse_factor(inputs, damping=0.01, activation_order=True)
    assert factor is not None
    values = np.empty_like(matrix)

    def solve(places: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        own = type(grid)(bits=3, group_size=32, scales=grid.scales[places], zeros=grid.zeros[places])
        values[places] = own.decode(gptq(wanted, factor, own))
        return np.asarray(values[places])

    round_in_turn(matrix, parts([outputs]), solve)
    plain = grid.decode(gptq(matrix, factor, grid))
    assert loss(matrix - values, outputs, inputs) < 0.8 * loss(matrix - plain, outputs, inputs)


def test_parts_do_not_depend_on_each_other() -> None:
    matrix, _ = layer(30, 9)
    blocks = [curvature(20, 1), curvature(10, 2)]

    def rounded(matrix: np.ndarray, blocks: list[np.ndarray]) -> np.ndarray:
        values = np.full_like(matrix, np.nan)

        def solve(places: np.ndarray, wanted: np.ndarray) -> np.ndarray:
            values[places] = halves(wanted)
            return np.asarray(values[places])

        round_in_turn(matrix, parts(blocks), solve, rows=4)
        return values

    together = rounded(matrix, blocks)
    apart = [rounded(matrix[:20], blocks[:1]), rounded(matrix[20:], blocks[1:])]
    np.testing.assert_array_equal(together, np.concatenate(apart))


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_without_a_curvature_rows_are_what_they_were(value: float) -> None:
    matrix, _ = layer(12, 5)
    seen = np.empty_like(matrix)

    def solve(places: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        seen[places] = wanted
        return halves(wanted)

    round_in_turn(matrix, parts([np.full((12, 12), value, np.float32)]), solve, rows=4)
    np.testing.assert_array_equal(seen, matrix)
