"""Which of two candidates the gate lets through: both are tested on the test part, in an order fixed before.

The surer candidate (the fallback) is tested first, the preferred one only if that passed; the last that
passed is published. The order follows from the choice part alone, so this is a fixed-sequence procedure: each
test keeps the gate's full 5%, and a candidate that loses more than is allowed is still published in at most
5% of runs, since the first such candidate of the order must pass its own test (Maurer, Hothorn and Lehmacher,
"Multiple comparisons in drug clinical trials and preclinical assays", 1995; Angelopoulos et al., "Learn then
Test", 2021, 2110.01052, section 3.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from compress.core.errors import BudgetMissed
from compress.pipeline.beside import plainly_rounded, uncalibrated
from compress.pipeline.contenders import FP32
from compress.pipeline.gate import judge_drop

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from compress.core.artifact import Artifact
    from compress.core.recipe import Recipe
    from compress.core.report import Accuracy, Uncalibrated
    from compress.core.units import MaxDrop
    from compress.pipeline.execute import Executor
    from compress.pipeline.judge import Judge
    from compress.pipeline.plan import Plan
    from compress.pipeline.trial import Trial


def settle(order: Sequence[str], accuracies: Mapping[str, Accuracy], budget: MaxDrop) -> str:
    """Choose the candidate to publish.

    Args:
        order: The names of candidates, the surest first and the preferred one last.
        accuracies: What each reached on the test part, by name.
        budget: The accuracy budget.

    Returns:
        The last candidate before which, and with which, all passed; the first one where that failed.
    """
    settled = order[0]
    for name in order:
        if judge_drop(budget, accuracies[name]).verdict != "pass":
            break
        settled = name
    return settled


def told_settled(preferred: str, published: str, accuracy: Accuracy) -> str:
    """Say why the preferred candidate is not the published one."""
    return (
        f"preferred on the choice part, but it may lose {accuracy.drop_upper_95:.4f} on the test part; "
        f"'{published}' took the place of '{preferred}'"
    )


@dataclass(frozen=True, kw_only=True)
class Settled:
    """The trial with the candidate that is published as its winner, and that candidate's accuracy."""

    trial: Trial
    accuracy: Accuracy
    uncalibrated: Uncalibrated | None
    """The accuracy of the same bits by plain rounding, where the candidate calibrates."""


def judge_on_test(trial: Trial, *, plan: Plan, judge: Judge, executor: Executor, source: Artifact) -> Settled:
    """Judge the chosen candidate, and its fallback, in one pass over the test part.

    Args:
        trial: The candidates and the choice among them.
        plan: The run's plan.
        judge: Compares graphs with the fp32 graph.
        executor: Makes the plainly rounded model beside a calibrated candidate.
        source: The checkpoint.

    Returns:
        The settled trial; without a winner it is about the fp32 graph.
    """
    candidates = [one for one in (trial.fallback, trial.winner) if one is not None]
    graphs = {one.recipe.name: (one.artifact.graph, one.recipe.runtime) for one in candidates}
    if not candidates:
        accuracy = judge.on_test({FP32: (trial.base.artifact.graph, plan.base.runtime)})[FP32]
        return Settled(trial=trial, accuracy=accuracy, uncalibrated=None)
    plain = {
        one.recipe.name: plainly_rounded(
            one.recipe, executor, source, digest=plan.model.digest, size_bytes=one.size_bytes
        )
        for one in candidates
    }
    beside = [one for one in plain.values() if one is not None]
    graphs |= {one.recipe.name: (one.artifact.graph, one.recipe.runtime) for one in beside}
    accuracies = judge.on_test(graphs)
    preferred = candidates[-1].recipe.name
    name = settle([one.recipe.name for one in candidates], accuracies, plan.max_drop)
    return Settled(
        trial=trial.settled(name, told_settled(preferred, name, accuracies[preferred])),
        accuracy=accuracies[name],
        uncalibrated=uncalibrated(plain[name], accuracies),
    )


def result_of(plan: Plan, trial: Trial) -> tuple[Artifact, Recipe]:
    """Return what is published of a trial: the winner, or the fp32 graph where that is allowed.

    Raises:
        BudgetMissed: no candidate was good enough.
    """
    if trial.winner:
        return trial.winner.artifact, trial.winner.recipe
    if not plan.settings.values.allow_fp32:
        reasons = "; ".join(f"{name}: {why}" for name, why in trial.choice.why.items())
        message = f"no candidate beats the fp32 graph within the budgets ({reasons})"
        raise BudgetMissed("nothing-better", message, hint="--allow-fp32 publishes the fp32 graph")
    return trial.base.artifact, plan.base
