"""How large a recipe's result will be, from the headers of the weights alone. Always an estimate."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from typing import TYPE_CHECKING

from compress.core.artifact import ArtifactKind
from compress.core.errors import CompressError
from compress.core.profile import ModelKind
from compress.core.stored_bits import FP32
from compress.graph.components import component_by_name
from compress.pipeline.size_budget import beside_weights
from compress.pipeline.steps import bind, result_kind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import Any

    from compress.core.artifact import Artifact, Row
    from compress.core.recipe import Recipe
    from compress.core.stored_bits import Storage
    from compress.model.headers import TensorHeader
    from compress.model.resolve import Model
    from compress.model.sizes import Sizes

_MATRICES = "matrix"
_EMBEDDINGS = "embedding"
_HEADS = "head"
_REST = "rest"
_NUMBER = re.compile(r"\.(\d+)\.")
_NODES = 11 * 1024
"""Bytes of nodes, names and small constants of an encoder's graph for a layer (MiniLM's: 10.7 KiB)."""
_POOLER = re.compile(r"(^|\.)pooler\.")
_EXPERTS_FROM = 16
"""Sizes of the last of three axes from which a tensor holds experts' matrices, not filters along time."""


def predicted_bytes(
    recipe: Recipe,
    tensors: Mapping[str, TensorHeader],
    *,
    config: Mapping[str, Any] | None = None,
    sizes: Sizes | None = None,
    kept: Mapping[str, float] | None = None,
    unused: Collection[str] = (),
) -> int:
    """Predict the bytes of the graph that `recipe` makes of a checkpoint.

    A pass says by `storage(config)` in which form it leaves the tensors of each group (`embedding`, `matrix`,
    `head`, `rest`), by `remaining(config, depth)` which share of the elements of each component it leaves,
    and by `size_limit(config)` to how many bytes it keeps. Passes that say nothing change no size.

    Args:
        recipe: The steps, with their export.
        tensors: The checkpoint's tensors by name.
        config: The model's config.json, by which what is no weight is estimated (None: that is left out).
        sizes: What transformers reads in it, where that is known already.
        kept: Shares of single tensors that stay, as `kept_tokens` finds them.
        unused: Names of tensors that the graph has no use for (`unused_tensors`).

    Returns:
        Bytes of the graph and its tensors.
    """
    forms = {_MATRICES: FP32, _EMBEDDINGS: FP32, _REST: FP32}
    shares: dict[str, float] = {}
    limits: list[int] = []
    depth = _depth(tensors)
    for step in recipe.steps:
        bound = bind(step)
        limit = getattr(bound.implementation, "size_limit", lambda config: None)(bound.config)
        limits += [] if limit is None else [limit]
        forms.update(getattr(bound.implementation, "storage", lambda config: {})(bound.config))
        remaining = getattr(bound.implementation, "remaining", None)
        if remaining is not None:
            for component, share in remaining(bound.config, depth).items():
                shares[component] = shares.get(component, 1.0) * share
    bits = sum(
        _stored_bits(
            name, tensor, forms, shares.get(component_by_name(name) or "", 1.0) * (kept or {}).get(name, 1.0)
        )
        for name, tensor in tensors.items()
        if name not in unused
    )
    return min([int(bits / 8) + _beside(recipe, config, sizes, depth), *limits])


def unused_tensors(model: Model) -> frozenset[str]:
    """Return the tensors that no graph of a model needs: the pooler of a text encoder, whose embeddings are
    made of its hidden states.
    """
    if model.task != "feature-extraction" or model.kind is not ModelKind.ENCODER:
        return frozenset()
    return frozenset(name for name in model.tensors if _POOLER.search(name))


def _stored_bits(name: str, tensor: TensorHeader, forms: Mapping[str, Storage], share: float) -> float:
    """The bits of a tensor of which a share stays."""
    group = _group(name, tensor)
    if group == _REST:
        return tensor.elements * share * forms[_REST].bits
    form = forms.get(group, forms[_MATRICES])
    rows, columns = _matrix_shape(tensor.shape)
    return form.total_bits(rows * share, columns)


def _matrix_shape(shape: Sequence[int]) -> tuple[int, int]:
    """Rows (outputs) and columns (inputs): of filters all axes but the first, of experts the last one."""
    experts = len(shape) == 3 and shape[-1] >= _EXPERTS_FROM
    first = len(shape) - 1 if experts else 1
    return math.prod(shape[:first]), math.prod(shape[first:])


def _beside(recipe: Recipe, config: Mapping[str, Any] | None, sizes: Sizes | None, depth: int) -> int:
    """Bytes that are no weights."""
    if config is None:
        return 0
    return beside_weights(config, sizes) if result_kind(recipe) is ArtifactKind.GENAI else depth * _NODES


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
    component = component_by_name(name)
    return component if component in (_EMBEDDINGS, _HEADS) else _MATRICES
