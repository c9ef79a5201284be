"""Matrices of a model rounded to grids under a Hessian, with searched rounding where there is none to use."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from compress.model.quantized import Layout, QuantizedMatrix
from compress.numerics.gptq import gptq
from compress.numerics.groups import fit_groups
from compress.numerics.hessian import inverse_factor
from compress.numerics.outputs import parts, round_in_turn
from compress.numerics.refine import refine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compress.model.statistics import SharedInput
    from compress.numerics.groups import GroupGrid
    from compress.numerics.hessian import Factor


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """Bits and groups of a matrix; `group_size` -1 is one group a row."""

    bits: int
    group_size: int
    symmetric: bool
    damping: float = 0.01
    activation_order: bool = True
    sweeps: int = 0
    minimum_rows: int = 1

    def fit(self, matrix: np.ndarray, importance: np.ndarray | None) -> GroupGrid:
        """The grids of a float32 matrix (N, K) whose columns weigh as `importance` (K,) says."""
        columns = matrix.shape[1]
        return fit_groups(
            matrix,
            bits=self.bits,
            group_size=columns if self.group_size < 0 else min(self.group_size, columns),
            symmetric=self.symmetric,
            importance=importance,
        )


@dataclass(frozen=True, kw_only=True)
class Rounded:
    """A matrix (N, K) on its grids. `why` says why it was rounded without feedback, where it was."""

    grid: GroupGrid
    codes: np.ndarray
    damping: float = 0.0
    why: str = ""

    def values(self) -> np.ndarray:
        """What the codes stand for, float32 (N, K)."""
        return self.grid.decode(self.codes)

    def stored(self, *, symmetric: bool, transposed: bool) -> QuantizedMatrix:
        """In the form that is written."""
        shape = (self.codes.shape[0], self.codes.shape[1])
        layout = Layout(
            bits=self.grid.bits,
            group_size=self.grid.group_size,
            symmetric=symmetric,
            shape=shape,
            transposed=transposed,
        )
        parts = (self.codes, self.grid.scales, self.grid.zeros)
        codes, scales, zeros = (torch.from_numpy(np.ascontiguousarray(part)) for part in parts)
        return QuantizedMatrix(layout=layout, codes=codes, scales=scales, zeros=zeros)


_GATE_OUTPUTS, _GATE_RATIO = 64, 32
"""Most outputs of a gate, and the least number of inputs for each of them."""


def is_gate(shape: Sequence[int]) -> bool:
    """Whether a matrix of this shape makes a few numbers of many, by which others are multiplied (decays of
    linear attention, the weight of a shared expert): its errors are the whole layer's, and it takes nothing.
    """
    few, many = min(shape), max(shape)
    return len(shape) == 2 and few <= _GATE_OUTPUTS and many >= _GATE_RATIO * few


def round_matrices(
    matrices: Sequence[np.ndarray],
    inputs: SharedInput | None,
    scheme: Scheme,
    *,
    curvature: Sequence[np.ndarray] = (),
) -> list[Rounded]:
    """Round float32 matrices (N_i, K) that read the same inputs; None: no product reads them (a table of
    embeddings), so that each number counts alike.

    `curvature` are the diagonal blocks of the loss's curvature in all their outputs, where it is known.
    """
    matrix = np.concatenate(list(matrices))  # rows of all: they do not depend on each other
    rounded = _round(matrix, inputs, scheme, curvature)
    found, start = [], 0
    for one in matrices:
        rows = slice(start, start + len(one))
        found.append(_rows(rounded, rows))
        start = rows.stop
    return found


def _round(
    matrix: np.ndarray, inputs: SharedInput | None, scheme: Scheme, curvature: Sequence[np.ndarray]
) -> Rounded:
    if inputs is None:
        return _searched(matrix, None, scheme)
    rows = inputs.hessian.rows
    if rows < max(scheme.minimum_rows, 1):
        why = f"{rows} calibration tokens reached it, wanted {scheme.minimum_rows}"
        return _searched(matrix, inputs.hessian.matrix if rows else None, scheme, why=why)
    hessian = inputs.hessian.matrix
    factor = inverse_factor(hessian, damping=scheme.damping, activation_order=scheme.activation_order)
    if factor is None:
        return _searched(matrix, None, scheme, why="its Hessian is not finite, or zero")
    return _with_feedback(matrix, hessian, factor, scheme, curvature)


def _with_feedback(
    matrix: np.ndarray,
    hessian: np.ndarray,
    factor: Factor,
    scheme: Scheme,
    curvature: Sequence[np.ndarray],
) -> Rounded:
    added = np.float32(factor.damping * np.diag(hessian).mean())
    damped = hessian + np.diag(np.full(len(hessian), added, np.float32))
    solver = _Solver(_grid(matrix, hessian, scheme), factor, damped, scheme.sweeps)
    if curvature:
        round_in_turn(matrix, parts(curvature), solver.solve)
    else:
        solver.solve(np.arange(len(matrix)), matrix)
    return Rounded(grid=solver.grid, codes=solver.codes, damping=factor.damping)


class _Solver:
    """Rounds rows of a matrix to their `grid`, which it refines, and keeps their `codes`."""

    def __init__(self, grid: GroupGrid, factor: Factor, damped: np.ndarray, sweeps: int) -> None:
        self.grid, self._factor, self._damped, self._sweeps = grid, factor, damped, sweeps
        self.codes = np.empty((len(grid.scales), len(damped)), np.uint8)

    def solve(self, places: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """The values that the rows at `places` (n,) get, which should be `wanted` (n, K)."""
        grid = replace(self.grid, scales=self.grid.scales[places], zeros=self.grid.zeros[places])
        codes = gptq(wanted, self._factor, grid)
        if self._sweeps:
            grid, codes = refine(wanted, self._damped, grid, codes, sweeps=self._sweeps)
        self.grid.scales[places], self.codes[places] = grid.scales, codes
        return grid.decode(codes)


def _searched(matrix: np.ndarray, hessian: np.ndarray | None, scheme: Scheme, *, why: str = "") -> Rounded:
    grid = _grid(matrix, hessian, scheme)
    return Rounded(grid=grid, codes=grid.encode(matrix), why=why)


def _grid(matrix: np.ndarray, hessian: np.ndarray | None, scheme: Scheme) -> GroupGrid:
    return scheme.fit(matrix, _importance(hessian, scheme.damping))


def _importance(hessian: np.ndarray | None, damping: float) -> np.ndarray | None:
    """The damped diagonal; None where that is no measure."""
    if hessian is None:
        return None
    diagonal = np.diag(hessian)
    mean = diagonal.mean(dtype=np.float64)
    return np.asarray(diagonal + np.float32(damping * mean)) if np.isfinite(mean) and mean > 0 else None


def _rows(rounded: Rounded, rows: slice) -> Rounded:
    grid = rounded.grid
    part = type(grid)(
        bits=grid.bits, group_size=grid.group_size, scales=grid.scales[rows], zeros=grid.zeros[rows]
    )
    return Rounded(grid=part, codes=rounded.codes[rows], damping=rounded.damping, why=rounded.why)


def facts(rounded: Rounded, matrix: np.ndarray, values: np.ndarray) -> dict[str, object]:
    """What is worth knowing of a matrix that became `values`: its error relative to its size, the damping,
    and why it was rounded without feedback.
    """
    difference = values - matrix
    size = float(np.linalg.norm(matrix)) or 1.0
    relative = float(np.linalg.norm(difference)) / size
    return {"relative_error": relative, "damping": rounded.damping, "why": rounded.why}


UNREAD = "no product reads it"
"""Of a matrix that stays as it is."""
_MANY = 8


def rounded_only(reasons: dict[str, str]) -> list[str]:
    """A sentence for each matrix that was rounded to searched grids or left as it is, or one for many."""
    left = {name: why for name, why in reasons.items() if why == UNREAD}
    rounded = {name: why for name, why in reasons.items() if why != UNREAD}
    return [*_sentences(rounded, "rounded without feedback"), *_sentences(left, "left as it is")]


def _sentences(reasons: dict[str, str], fate: str) -> list[str]:
    if len(reasons) <= _MANY:
        return [f"{name} was {fate}: {why}" for name, why in reasons.items()]
    name, why = next(iter(reasons.items()))
    return [f"{len(reasons)} matrices were {fate}, as {name}: {why}"]
