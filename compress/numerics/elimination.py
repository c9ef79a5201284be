"""Which inputs of a matrix can go, when the rest is refitted after each removal.

Optimal Brain Surgeon (Hassibi & Stork 1993) by groups of columns: removing the columns u of W (d, n) and
refitting the rest raises the squared error sum ||W x - W' x||^2 by

    e_u = tr(W_u [(H^-1)_uu]^-1 W_u^T),      H = sum x x^T,

after which W <- W - W_u [(H^-1)_uu]^-1 (H^-1)_u: and H^-1 loses u by the same formula. The group with the
smallest e_u goes first. SlimGPT (Ling et al. 2024, arXiv:2412.18110) and OSSCAR (Meng et al. 2024,
arXiv:2403.12983) prune attention heads and feed-forward units of language models by this error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Removals:
    """Units in the order in which they went, and the error after each: float64 (k,), ascending."""

    order: np.ndarray
    errors: np.ndarray

    def kept(self, total: int, removed: int) -> np.ndarray:
        """The units that stay of `total` after `removed` went, ascending."""
        return np.setdiff1d(np.arange(total), self.order[:removed])


def eliminate(
    weight: np.ndarray, gram: np.ndarray, columns: np.ndarray, *, removals: int, at_once: int = 1
) -> Removals:
    """Remove units one after the other (or `at_once`, for very wide layers) while the error grows least.

    `weight` float (d, n), `gram` float (n, n) positive definite, `columns` int (U, c): each unit's columns.
    """
    weight, inverse = weight.astype(np.float64), np.linalg.inv(gram)
    alive = np.ones(len(columns), bool)
    order: list[int] = []
    errors: list[float] = []
    while len(order) < removals:
        costs = np.where(alive, _costs(weight, inverse, columns), np.inf)
        chosen = np.argsort(costs, kind="stable")[: min(at_once, removals - len(order))]
        for unit, cost in zip(chosen, costs[chosen], strict=True):
            order.append(int(unit))
            errors.append((errors[-1] if errors else 0.0) + max(float(cost), 0.0))
        alive[chosen] = False
        _remove(weight, inverse, columns[chosen].ravel())
    return Removals(np.array(order, int), np.array(errors))


def costs_of(weight: np.ndarray, gram: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """e_u of every unit by itself, (U,); the arguments are those of `eliminate`."""
    return _costs(weight.astype(np.float64), np.linalg.inv(gram), columns)


def _costs(weight: np.ndarray, inverse: np.ndarray, columns: np.ndarray) -> np.ndarray:
    if columns.shape[1] == 1:
        flat = columns[:, 0]
        return np.asarray(np.square(weight[:, flat]).sum(axis=0) / np.diag(inverse)[flat])
    blocks = inverse[columns[:, :, None], columns[:, None, :]]  # (U, c, c)
    own = weight[:, columns].transpose(1, 2, 0)  # (U, c, d)
    return np.asarray((np.linalg.solve(blocks, own) * own).sum(axis=(1, 2)))


def _remove(weight: np.ndarray, inverse: np.ndarray, gone: np.ndarray) -> None:
    """Refit without the columns `gone`, in place. Their rows and columns of H^-1 become a unit matrix, so
    that blocks of units that are gone stay invertible; they are never looked at.
    """
    step = np.linalg.solve(inverse[np.ix_(gone, gone)], inverse[gone])  # (g, n)
    weight -= weight[:, gone] @ step
    inverse -= inverse[:, gone] @ step
    weight[:, gone] = 0
    inverse[gone] = 0
    inverse[:, gone] = 0
    inverse[gone, gone] = 1
