"""Scaled channels folded into a block's own weights, so that nothing of them is left when it runs.

Lin et al. 2023 (AWQ, arXiv:2306.00978): what makes the input of a layer, a norm or the matrix whose product
it is scaled by (`up` of a gated feed-forward layer), is divided by the factors that the layer's matrices are
multiplied by.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from compress.numerics.scaling import best_scaling

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from compress.model.producers import LoadedBlock, Source
    from compress.model.statistics import SharedInput
    from compress.model.walk import BlockWalk
    from compress.numerics.scaling import Fit


@dataclass(frozen=True, kw_only=True)
class Scaled:
    """What was done to a block, by parameter: `changed` are no longer the checkpoint's, and `outputs` are the
    factors (N,) by which a matrix's outputs were divided.
    """

    changed: frozenset[str] = frozenset()
    outputs: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class _Fold:
    shared: SharedInput
    source: Source
    factors: np.ndarray


class BlockScaler:
    """Scales the blocks of `walk`. Where inputs come from is learned once for matrices of the same names."""

    def __init__(self, walk: BlockWalk) -> None:
        self._walk = walk
        self._known: dict[tuple[str, ...], Source | None] = {}

    def scale(self, loaded: LoadedBlock, inputs: Sequence[SharedInput], fit: Fit) -> Scaled:
        """Scale what can be in a block, and the Hessians of its `inputs` with it; `fit` finds grids.

        Should the block then give something else, it is left as it was.
        """
        folds = [fold for shared in inputs if (fold := self._fold(loaded, shared, inputs, fit))]
        if folds and not loaded.is_same():
            for fold in reversed(
                folds
            ):  # not from a copy: a block may be a good part of what memory there is
                loaded.apply(fold.source, fold.shared, torch.from_numpy(1 / fold.factors))
            return Scaled()
        for fold in folds:
            fold.shared.hessian.divide(fold.factors)
        return self._told(loaded, folds)

    def _fold(
        self, loaded: LoadedBlock, shared: SharedInput, inputs: Sequence[SharedInput], fit: Fit
    ) -> _Fold | None:
        source = self._source(loaded, shared, inputs)
        if source is None:
            return None
        matrices = [_matrix(loaded, weight.name, weight.transposed) for weight in shared.weights]
        factors = best_scaling(matrices, shared.hessian.matrix, fit)
        if (factors == 1).all():
            return None
        loaded.apply(source, shared, torch.from_numpy(factors))
        return _Fold(shared, source, factors)

    def _source(
        self, loaded: LoadedBlock, shared: SharedInput, inputs: Sequence[SharedInput]
    ) -> Source | None:
        key = tuple(weight.name.removeprefix(loaded.prefix) for weight in shared.weights)
        if key not in self._known:
            source = loaded.find(shared, inputs)
            self._known[key] = source if source and self._is_stored(loaded, source) else None
        return self._known[key]

    def _is_stored(self, loaded: LoadedBlock, source: Source) -> bool:
        """Whether the checkpoint has each of its vectors as one tensor, which can be written anew."""
        targets = list(self._walk.stream.targets.values())
        return all(targets.count(loaded.prefix + name) == 1 for name in _vectors(loaded, source))

    def _told(self, loaded: LoadedBlock, folds: Sequence[_Fold]) -> Scaled:
        changed, outputs = set(), {}
        for fold in folds:
            vectors = _vectors(loaded, fold.source)
            changed |= {loaded.prefix + name for name in vectors}
            if fold.source.weight not in vectors:
                outputs[loaded.prefix + fold.source.weight] = fold.factors
        return Scaled(changed=frozenset(changed), outputs=outputs)


def _vectors(loaded: LoadedBlock, source: Source) -> list[str]:
    """What of a source is not a matrix that is rounded anyway."""
    names = [source.weight] if source.bias is None else [source.weight, source.bias]
    return [name for name in names if loaded.block.get_parameter(name).ndim == 1]


def _matrix(loaded: LoadedBlock, name: str, transposed: bool) -> np.ndarray:
    tensor = loaded.chosen[name].data
    return np.ascontiguousarray((tensor.T if transposed else tensor).numpy())
