"""What calibration bought: the accuracy of the same bits without it, beside that of a calibrated recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compress.core.errors import CompressError
from compress.core.report import Uncalibrated
from compress.core.storage import DISK_FAULT, NO_SPACE
from compress.pipeline.contenders import Candidate
from compress.pipeline.steps import bind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from compress.core.artifact import Artifact
    from compress.core.recipe import Recipe, Step
    from compress.core.report import Accuracy
    from compress.pipeline.execute import Executor

SAME_SIZE = 0.05
"""Files that differ by more do not hold the same bits: a pass that calibrates may reach matrices (experts)
that plain rounding leaves as they are."""


def plainly_rounded(
    recipe: Recipe, executor: Executor, source: Artifact, *, digest: str, size_bytes: int
) -> Candidate | None:
    """`recipe`'s bits by plain rounding; None where it calibrates nothing, or nothing of the same size
    (`size_bytes`) can be made without.
    """
    plain = without_calibration(recipe)
    if plain is None:
        return None
    try:
        made = executor.apply(plain, source, digest=digest).made
    except CompressError as error:
        if error.code in (NO_SPACE, DISK_FAULT):
            raise
        executor.progress.note(f"no plain rounding beside it: {error.message}")
        return None
    if abs(made[-1].size_bytes / size_bytes - 1) > SAME_SIZE:
        return None
    return Candidate(recipe=plain, made=made)


def uncalibrated(plain: Candidate | None, accuracies: Mapping[str, Accuracy]) -> Uncalibrated | None:
    """What it reached, as the report has it."""
    if plain is None:
        return None
    return Uncalibrated(size_bytes=plain.size_bytes, accuracy=accuracies[plain.recipe.name])


def without_calibration(recipe: Recipe) -> Recipe | None:
    """The recipe with plain rounding in the place of what calibrates; None where nothing does."""
    steps = tuple(_plain(step) for step in recipe.steps)
    if steps == recipe.steps:
        return None
    return recipe.model_copy(update={"name": f"{recipe.name}, plain rounding", "steps": steps})


def _plain(step: Step) -> Step:
    bound = bind(step)
    uncalibrated = getattr(bound.implementation, "uncalibrated", None)
    plain: Step | None = None if uncalibrated is None else uncalibrated(bound.config)
    return plain or step


def told_beside(found: Uncalibrated | None, accuracy: Accuracy | None) -> list[str]:
    """The same in words."""
    if found is None or accuracy is None:
        return []
    plain = found.accuracy
    return [
        f"plain rounding to the same bits: {plain.metric} {plain.result:.4g} (drop {plain.drop:.4g}); "
        f"calibrated: {accuracy.result:.4g} (drop {accuracy.drop:.4g})"
    ]
