"""The size that a user allows, handed to steps that choose what to spend it on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compress.model.sizes import text_sizes
from compress.pipeline.steps import bind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from compress.core.recipe import Recipe, Step
    from compress.model.sizes import Sizes

_NODES = 16 * 1024
"""Bytes of a graph's nodes for a layer: SmolLM2's 30 layers take 9 KiB each."""


def within_size(
    recipe: Recipe, max_size: int | None, config: Mapping[str, Any], sizes: Sizes | None = None
) -> Recipe:
    """The recipe whose steps that choose bits (`gptq-mixed`) keep to `max_size` bytes of a model of this
    `config.json`, where they have no size of their own.
    """
    if max_size is None:
        return recipe
    room = max_size - beside_weights(config, sizes)
    return recipe.model_copy(update={"steps": tuple(_within(step, room) for step in recipe.steps)})


def _within(step: Step, room: int) -> Step:
    bound = bind(step)
    within = getattr(bound.implementation, "within", None)
    changes = within(bound.config, max(room, 1)) if within else {}
    return step.model_copy(update={"config": {**step.config, **changes}}) if changes else step


def beside_weights(config: Mapping[str, Any], sizes: Sizes | None = None) -> int:
    """Predict the bytes that a decoder's graph takes beside its weights: its nodes, and tables of sines and
    cosines for each position (SmolLM2-135M: 2.6 MB, measured 2.4).

    Args:
        config: The model's config.json.
        sizes: What transformers reads in it, where that is known already.
    """
    sizes = sizes or text_sizes(config)
    return sizes.positions * sizes.head * 4 + (sizes.layers + 1) * _NODES
