"""Feedback across the outputs of a matrix: what rounding some of its rows got wrong, the others make up for.

GPTQ weighs a layer's errors E (N, K) by the inputs' Hessian H alone, all outputs alike: tr(E H E^T). The
model's own loss curves along its outputs too, to second order tr(S E H E^T) with S the curvature of the
loss in the layer's outputs, which no longer falls apart by rows. Rows are rounded some at a time, each of
them by whatever solves them under H, and what is left of the others is moved to the minimum given what was
done: block-wise error feedback as in Tseng et al. 2025 (YAQA, arXiv:2505.22988, equation 5), in the form
that GPTQ has for columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import solve_triangular

from compress.numerics.hessian import inverse_factor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Solve = Callable[[np.ndarray, np.ndarray], np.ndarray]

ROWS = 8
"""Rows of one part that are rounded at once, without feedback among them: 16 are worse, 4 no better."""
_DAMPING = 0.01


@dataclass(frozen=True)
class Part:
    """Rows of a matrix that curve together: `rows` (n,) in the order in which they are rounded, and `upper`
    (n, n), the factor U of the inverse of their curvature in that order, S^-1 = U^T U.
    """

    rows: np.ndarray
    upper: np.ndarray


def parts(curvatures: Sequence[np.ndarray]) -> list[Part]:
    """The parts of a matrix whose curvature has these blocks (n_i, n_i), float32, along its diagonal. Rows of
    a block that is zero or not finite go without feedback among them.
    """
    found, start = [], 0
    for block in curvatures:
        factor = inverse_factor(block, damping=_DAMPING, activation_order=True)
        order = np.arange(len(block)) if factor is None else factor.order
        upper = np.eye(len(block), dtype=np.float32) if factor is None else factor.upper
        found.append(Part(start + order, upper))
        start += len(block)
    return found


def round_in_turn(matrix: np.ndarray, split: Sequence[Part], solve: Solve, *, rows: int = ROWS) -> None:
    """Round a float32 matrix (N, K), `rows` of each part at a time: parts do not depend on each other.

    `solve(places, wanted)` rounds rows at `places` (n,) to what they should be by now, float32 (n, K), and
    returns the values that they got.
    """
    wanted = matrix.copy()
    for turns in _turns(split, rows):
        places = np.concatenate([part.rows[turn] for part, turn in turns])
        errors = wanted[places] - solve(places, wanted[places])
        for part, turn in turns:
            _pass_on(wanted, part, turn, errors[: turn.stop - turn.start])
            errors = errors[turn.stop - turn.start :]


def _turns(split: Sequence[Part], rows: int) -> Iterator[list[tuple[Part, slice]]]:
    """What is rounded at the same time: the first rows of all parts, then the next of those that have any."""
    for start in range(0, max(len(part.rows) for part in split), rows):
        ends = [(part, min(start + rows, len(part.rows))) for part in split]
        yield [(part, slice(start, end)) for part, end in ends if start < end]


def _pass_on(wanted: np.ndarray, part: Part, turn: slice, errors: np.ndarray) -> None:
    """Move the rows that are left to the minimum, given the `errors` (n, K) of those of this turn."""
    left = part.rows[turn.stop :]
    if len(left):
        weighed = solve_triangular(part.upper[turn, turn], errors, trans="T", check_finite=False)
        wanted[left] -= part.upper[turn, turn.stop :].T @ weighed
