"""From a step's name to its pass, and whether the steps of a recipe fit each other."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import compress.passes
from compress.core.artifact import ArtifactKind, Pass, as_pass
from compress.core.config import Frozen, parse
from compress.core.errors import CompressError, did_you_mean
from compress.core.recipe import Recipe, Step

if TYPE_CHECKING:
    from collections.abc import Sequence

EXPORT = "export.onnx"
FUSE = "export.fuse"


@dataclass(frozen=True)
class BoundStep:
    """A step whose pass was found and whose configuration was validated."""

    name: str
    config: Frozen
    implementation: Pass


def step_names() -> list[str]:
    """Every step that there is: the modules under `compress.passes`, without importing them."""
    names = []
    for group in pkgutil.iter_modules(compress.passes.__path__):
        folder = f"{compress.passes.__path__[0]}/{group.name}"
        names += [f"{group.name}.{module.name}" for module in pkgutil.iter_modules([folder])]
    return sorted(names)


def bind(step: Step) -> BoundStep:
    """Find a step's pass and validate its configuration.

    Raises:
        CompressError: there is no such step, or a key of its configuration is wrong.
    """
    known = step_names()
    if step.name not in known:
        message = f"no step '{step.name}'"
        raise CompressError("step-unknown", message, hint=did_you_mean(step.name, known))
    implementation = as_pass(importlib.import_module(f"compress.passes.{step.name}"))
    where = f"step '{step.name}'"
    config = parse(implementation.Config, step.config, code="step-invalid", where=where)
    return BoundStep(step.name, config, implementation)


def with_export(recipe: Recipe) -> Recipe:
    """The recipe with what it leaves implicit: export and fusion, before the first step on a graph."""
    if any(step.name.startswith("export.") for step in recipe.steps):
        return recipe
    kinds = [bind(step).implementation.ACCEPTS for step in recipe.steps]
    first = next((i for i, kind in enumerate(kinds) if kind is ArtifactKind.ONNX), len(kinds))
    steps = (*recipe.steps[:first], Step(name=EXPORT), Step(name=FUSE), *recipe.steps[first:])
    return recipe.model_copy(update={"steps": steps})


def check_chain(recipe: Recipe) -> Sequence[BoundStep]:
    """The recipe's steps, bound, each fed with what the one before it makes.

    Raises:
        CompressError: a step is unknown, is configured wrongly, or cannot follow the one before it.
    """
    bound = [bind(step) for step in recipe.steps]
    kind = ArtifactKind.CHECKPOINT
    for step in bound:
        accepts = step.implementation.ACCEPTS
        if accepts is not kind:
            message = f"recipe '{recipe.name}': '{step.name}' needs a model of kind {accepts}, gets {kind}"
            raise CompressError("recipe-invalid", message, hint="see `compress recipes show int8`")
        kind = step.implementation.PRODUCES
    return bound
