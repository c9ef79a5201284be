"""How large a recipe's result will be, from the headers of the weights alone. Always an estimate."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from compress.core.errors import CompressError
from compress.graph.components import component_by_name
from compress.pipeline.steps import bind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from compress.core.artifact import Artifact, Row
    from compress.core.recipe import Recipe
    from compress.model.headers import TensorHeader

_FP32_BITS = 32.0
_MATRICES = "matrix"
_EMBEDDINGS = "embedding"
_REST = "rest"
_NUMBER = re.compile(r"\.(\d+)\.")


def predicted_bytes(
    recipe: Recipe, tensors: Mapping[str, TensorHeader], *, kept: Mapping[str, float] | None = None
) -> int:
    """Bytes of the graph that `recipe` makes of a checkpoint, scales and file overhead left out.

    A pass says by `stored_bits(config)` how many bits it leaves of an element of each group:
    `embedding`, `matrix` (two axes and more) and `rest`; and by `remaining(config, depth)` which share of the
    elements of each component it leaves, by `size_limit(config)` to how many bytes it keeps. Passes that say
    nothing change no size. `kept` are shares of single tensors that stay, as `kept_tokens` finds them.
    """
    bits = {_MATRICES: _FP32_BITS, _EMBEDDINGS: _FP32_BITS, _REST: _FP32_BITS}
    shares: dict[str, float] = {}
    limits: list[int] = []
    for step in recipe.steps:
        bound = bind(step)
        limit = getattr(bound.implementation, "size_limit", lambda config: None)(bound.config)
        limits += [] if limit is None else [limit]
        stored = getattr(bound.implementation, "stored_bits", None)
        if stored is not None:
            bits.update(stored(bound.config))
        remaining = getattr(bound.implementation, "remaining", None)
        if remaining is not None:
            for component, share in remaining(bound.config, _depth(tensors)).items():
                shares[component] = shares.get(component, 1.0) * share
    sizes = [
        tensor.elements
        * bits[_group(name, tensor)]
        * shares.get(component_by_name(name) or "", 1.0)
        * (kept or {}).get(name, 1.0)
        for name, tensor in tensors.items()
    ]
    return min([int(sum(sizes) / 8), *limits])


def kept_tokens(recipe: Recipe, source: Artifact, rows: Sequence[Row]) -> dict[str, float]:
    """The share of each tensor with an axis of tokens that stays, by the tokens that calibration rows have.

    Raises:
        CompressError: the vocabulary cannot be cut as the recipe asks.
    """
    shares: dict[str, float] = {}
    for step in recipe.steps:
        bound = bind(step)
        kept = getattr(bound.implementation, "kept_shares", None)
        if kept is None:
            continue
        try:
            shares.update(kept(bound.config, source, rows))
        except CompressError as error:
            if error.code != "nothing-to-quantize":  # then the step is left out
                raise
    return shares


def _depth(tensors: Mapping[str, TensorHeader]) -> int:
    """The number of blocks, as the numbers in the names of tensors tell it."""
    numbers: dict[str, set[int]] = defaultdict(set)
    for name in tensors:
        found = _NUMBER.search(name)
        if found:
            numbers[name[: found.start()]].add(int(found[1]))
    return max((len(own) for own in numbers.values()), default=1)


def _group(name: str, tensor: TensorHeader) -> str:
    if len(tensor.shape) < 2:
        return _REST
    return _EMBEDDINGS if component_by_name(name) == "embedding" else _MATRICES
