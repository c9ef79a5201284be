"""What a step will write, so that a disk that is too small is told before hours of work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compress.core.artifact import ArtifactKind
from compress.core.storage import refuse_full
from compress.model.safety import checkpoint_bytes, read_headers, read_json
from compress.model.sizes import text_sizes
from compress.pipeline.predict import predicted_bytes
from compress.pipeline.steps import bind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from compress.core.artifact import Artifact
    from compress.core.recipe import Recipe
    from compress.model.headers import TensorHeader

_CACHE_HINT = "free some disk space (`compress cache clean`), or set COMPRESS_CACHE to another disk"
_OUTPUT_HINT = "free some disk space, or name a folder on another disk with --out"


def refuse_step(steps: Path, recipe: Recipe, number: int, source: Artifact, original: Artifact) -> None:
    """Refuse to begin a step whose result, and what it keeps while it works, have no room in the cache.

    Args:
        steps: The cache's folder of steps.
        recipe: The recipe.
        number: Which of its steps, from 0.
        source: What the step is applied to.
        original: The checkpoint that the recipe started from.

    Raises:
        CompressError: There is no room.
    """
    step = recipe.steps[number]
    needed = result_bytes(recipe, number, source, original) + work_bytes(recipe, number, original)
    refuse_full(steps, needed, name=f"step '{step.name}'", hint=_CACHE_HINT)


def refuse_output(out: Path, needed: int) -> None:
    """Refuse to publish, or to begin a run that will, where the artifact has no room.

    Raises:
        CompressError: There is no room.
    """
    refuse_full(out.parent, needed, name="the artifact", hint=_OUTPUT_HINT)


def result_bytes(recipe: Recipe, number: int, source: Artifact, original: Artifact) -> int:
    """Estimate the bytes of what a step makes.

    A checkpoint stays as large as it was at most; of graphs and codes the recipe's first steps tell.
    """
    produces = bind(recipe.steps[number]).implementation.PRODUCES
    if produces is ArtifactKind.CHECKPOINT:
        return checkpoint_bytes(source.folder)
    first_steps = recipe.model_copy(update={"steps": recipe.steps[: number + 1]})
    return predicted_bytes(first_steps, read_headers(original.folder))


def work_bytes(recipe: Recipe, number: int, original: Artifact) -> int:
    """Estimate the bytes that a step keeps on disk while it works, as its pass tells by `work_bytes(config,
    parameters=, width=)`.
    """
    bound = bind(recipe.steps[number])
    estimate = getattr(bound.implementation, "work_bytes", None)
    if estimate is None:
        return 0
    tensors = read_headers(original.folder)
    return int(estimate(bound.config, parameters=_elements(tensors), width=_width(original.folder)))


def _elements(tensors: Mapping[str, TensorHeader]) -> int:
    return sum(tensor.elements for tensor in tensors.values())


def _width(folder: Path) -> int:
    return text_sizes(read_json(folder / "config.json", code="config-missing")).hidden
