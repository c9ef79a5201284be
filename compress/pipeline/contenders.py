"""The two baselines and the candidates, as things that can be timed and judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from compress.core.errors import CompressError
from compress.core.storage import DISK_FAULT, NO_SPACE
from compress.pipeline.extras import refuse_missing_extras

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from compress.core.artifact import Artifact
    from compress.core.recipe import Recipe
    from compress.pipeline.execute import Dropped, Executor, Made
    from compress.pipeline.plan import Plan

TORCH = "torch"
TORCH_BFLOAT16 = "torch_bfloat16"
FP32 = "onnxruntime_fp32"
"""The baselines' names, as `report.json` has them."""
RESULT = "result"
"""What is published, as a contender."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A recipe and what became of it: the folder that it made, or the reason why it made none."""

    recipe: Recipe
    made: tuple[Made, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    error: str | None = None

    @property
    def artifact(self) -> Artifact:
        """The last step's result."""
        return self.made[-1].artifact

    @property
    def size_bytes(self) -> int:
        """Bytes of the graph and its tensors."""
        return self.made[-1].size_bytes


def make_candidates(
    plan: Plan, executor: Executor, source: Artifact, *, keeps: Callable[[Candidate], bool]
) -> list[Candidate]:
    """Apply each recipe. One that cannot be applied to this model, or whose runtime is not installed, is a
    candidate with an error, unless the user asked for it; so is one that yields to another, which `keeps`
    the model's accuracy.

    Raises:
        CompressError: a recipe that the user named failed.
    """
    made: list[Candidate] = []
    for recipe in plan.recipes:
        rivals = [one for one in working(made) if one.recipe.name in recipe.unless]
        better = next((one for one in rivals if keeps(one)), None)
        made.append(_yielding(recipe, better) if better else _make(recipe, plan, executor, source))
    return made


def _yielding(recipe: Recipe, better: Candidate) -> Candidate:
    return Candidate(recipe=recipe, error=f"not made, since '{better.recipe.name}' keeps the accuracy")


def _make(recipe: Recipe, plan: Plan, executor: Executor, source: Artifact) -> Candidate:
    try:
        refuse_missing_extras(recipe)
        applied = executor.apply(recipe, source, digest=plan.model.digest)
    except CompressError as error:
        if plan.chosen_by_user or error.exit_code != 2 or error.code in (NO_SPACE, DISK_FAULT):
            raise
        executor.progress.note(f"'{recipe.name}' left out: {error.message}")
        hint = f" ({error.hint})" if error.hint else ""
        return Candidate(recipe=recipe, error=f"{error.message}{hint}")
    return Candidate(recipe=recipe, made=applied.made, dropped=applied.dropped)


def working(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that made an artifact."""
    return [candidate for candidate in candidates if candidate.error is None]
