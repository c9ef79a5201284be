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
from compress.graph.session import GENAI

if TYPE_CHECKING:
    from collections.abc import Sequence

EXPORT = "export.onnx"
DECODER_EXPORT = "export.genai"
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


def accepted(implementation: Pass) -> frozenset[ArtifactKind]:
    """The kinds of artifact that a pass takes."""
    kinds = implementation.ACCEPTS
    return frozenset({kinds}) if isinstance(kinds, ArtifactKind) else kinds


def with_export(recipe: Recipe, *, decoder: bool = False) -> Recipe:
    """The recipe with what it leaves implicit: export and fusion, before the first step on a graph. What
    no step makes a graph of is exported with a cache where it is a `decoder` or a checkpoint of codes.
    """
    if not any(step.name.startswith("export.") for step in recipe.steps):
        recipe = recipe.model_copy(update={"steps": _exported(recipe.steps, decoder=decoder)})
    if any(step.name == DECODER_EXPORT for step in recipe.steps):
        return recipe.model_copy(update={"runtime": GENAI})
    return recipe


def _exported(steps: tuple[Step, ...], *, decoder: bool) -> tuple[Step, ...]:
    passes = [bind(step).implementation for step in steps]
    first = next((i for i, one in enumerate(passes) if ArtifactKind.ONNX in accepted(one)), None)
    if first is None and (decoder or any(one.PRODUCES is ArtifactKind.QUANTIZED for one in passes)):
        return (*steps, Step(name=DECODER_EXPORT))
    first = len(steps) if first is None else first
    return (*steps[:first], Step(name=EXPORT), Step(name=FUSE), *steps[first:])


def learns(recipe: Recipe) -> bool:
    """Whether a step fits weights to the calibration rows, so that these rows flatter the result."""
    bound = [bind(step) for step in recipe.steps]
    return any(getattr(one.implementation, "learns", _never)(one.config) for one in bound)


def heals(recipe: Recipe) -> bool:
    """Whether a step trains the model on the calibration rows."""
    return any(step.name.startswith("heal.") for step in recipe.steps)


def _never(config: Frozen) -> bool:
    del config
    return False


def result_kind(recipe: Recipe) -> ArtifactKind:
    """The kind of artifact that a recipe's last step makes."""
    return bind(recipe.steps[-1]).implementation.PRODUCES


def check_chain(recipe: Recipe) -> Sequence[BoundStep]:
    """The recipe's steps, bound, each fed with what the one before it makes.

    Raises:
        CompressError: a step is unknown, is configured wrongly, or cannot follow the one before it.
    """
    bound = [bind(step) for step in recipe.steps]
    kind = ArtifactKind.CHECKPOINT
    for step in bound:
        accepts = accepted(step.implementation)
        if kind not in accepts:
            needed = " or ".join(sorted(accepts))
            message = f"recipe '{recipe.name}': '{step.name}' needs a model of kind {needed}, gets {kind}"
            raise CompressError("recipe-invalid", message, hint="see `compress recipes show int8`")
        kind = step.implementation.PRODUCES
    return bound
