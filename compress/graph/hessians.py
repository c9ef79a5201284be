"""The Hessians of layers' inputs in a graph, some at a time, factored for GPTQ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from compress.graph.activations import observe
from compress.numerics.hessian import Hessian, inverse_factor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from compress.core.artifact import Feeds
    from compress.numerics.hessian import Factor

LIMIT_BYTES = 512 * 2**20
"""Bytes that the Hessians gathered in one run over the data may take together."""
_DAMPING = 0.01


class InputFactors:
    """The factor of the inverse Hessian of each value in `sizes` (its name and channels), on `feeds`.

    Values are best asked for in their order: those that are gathered together are held together.
    """

    def __init__(
        self, graph: Path, sizes: Mapping[str, int], feeds: Sequence[Feeds], *, limit_bytes: int = LIMIT_BYTES
    ) -> None:
        self._graph, self._feeds, self._sizes = graph, feeds, sizes
        self._groups = list(_groups(sizes, limit_bytes))
        self._held: dict[str, Hessian] = {}

    def of(self, name: str) -> Factor | None:
        """None where the value is not known, or its Hessian has no inverse."""
        if name not in self._sizes or not self._feeds:
            return None
        if name not in self._held:
            self._held = self._gathered(next(group for group in self._groups if name in group))
        return inverse_factor(self._held[name].matrix, damping=_DAMPING, activation_order=True)

    def _gathered(self, names: Sequence[str]) -> dict[str, Hessian]:
        found = {name: Hessian(self._sizes[name]) for name in names}

        def add(name: str, rows: np.ndarray) -> None:
            found[name].add(np.ascontiguousarray(rows.reshape(-1, rows.shape[-1]), np.float32))

        observe(self._graph, names, self._feeds, add)
        return found


def _groups(sizes: Mapping[str, int], limit_bytes: int) -> Iterator[list[str]]:
    group: list[str] = []
    total = 0
    for name, size in sizes.items():
        if group and total + 4 * size * size > limit_bytes:
            yield group
            group, total = [], 0
        group.append(name)
        total += 4 * size * size
    if group:
        yield group
