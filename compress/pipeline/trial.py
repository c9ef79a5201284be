"""Try each candidate: accuracy on the choice part, speed in turn with both baselines, a choice."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from compress.core.allowance import allowed_drop
from compress.pipeline.choose import Choice, Limits, Tried, choose
from compress.pipeline.contenders import FP32, Candidate, working
from compress.pipeline.forecast import Forecast, forecast
from compress.pipeline.workloads import headline_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from compress.core.report import Accuracy, Ratio
    from compress.pipeline.estimate import Estimator
    from compress.pipeline.execute import Made
    from compress.pipeline.judge import Judge
    from compress.pipeline.plan import Plan
    from compress.pipeline.speed import Stopwatch


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What was found of the candidates on the choice part."""

    base: Made
    baseline: float
    """The metric of the fp32 graph."""
    candidates: Sequence[Candidate]
    accuracies: dict[str, float] = field(default_factory=dict)
    drops: dict[str, float] = field(default_factory=dict)
    ratios: dict[str, dict[str, dict[str, Ratio]]] = field(default_factory=dict)
    """By baseline, candidate and workload."""
    choice: Choice

    @property
    def winner(self) -> Candidate | None:
        """The chosen candidate; None where nothing beat fp32."""
        return self._named(self.choice.winner)

    @property
    def fallback(self) -> Candidate | None:
        """The candidate that takes the winner's place if it fails the gate; None: there is none."""
        return self._named(self.choice.fallback)

    def settled(self, name: str, why: str) -> Trial:
        """Return the trial after the gate: `name` is published, and `why` says what became of the winner."""
        if name == self.choice.winner:
            return self
        reasons = {str(self.choice.winner): why, name: f"kept instead of '{self.choice.winner}'"}
        choice = replace(self.choice, winner=name, why=self.choice.why | reasons, fallback=None)
        return replace(self, choice=choice)

    def _named(self, name: str | None) -> Candidate | None:
        return next((one for one in self.candidates if one.recipe.name == name), None)


class Scores:
    """The accuracy of candidates on the choice part, each judged once."""

    def __init__(self, plan: Plan, judge: Judge) -> None:
        self._plan, self._judge = plan, judge
        self._found: dict[str, Accuracy] = {}

    def of(self, candidates: Sequence[Candidate]) -> dict[str, Accuracy]:
        """By name."""
        self._found |= self._judge.on_choice(
            [one for one in candidates if one.recipe.name not in self._found]
        )
        return {one.recipe.name: self._found[one.recipe.name] for one in candidates}

    def keeps(self, candidate: Candidate) -> bool:
        """Whether a candidate is foreseen to lose no more than is allowed."""
        (score,) = self.of([candidate]).values()
        return self.forecast(score).bound <= self.limits(score.baseline).drop

    def forecast(self, score: Accuracy) -> Forecast:
        """Foresee the bound that the test part will have."""
        return forecast(score, share=self._judge.splits.share)

    def limits(self, baseline: float) -> Limits:
        """What candidates must keep to, where the fp32 graph reaches `baseline`."""
        return _limits(self._plan, self._judge.splits.metric.name, baseline)


def run_trial(
    plan: Plan,
    *,
    base: Made,
    candidates: Sequence[Candidate],
    scores: Scores,
    stopwatch: Stopwatch | Estimator,
) -> Trial:
    """Judge and time the candidates that could be made, and choose one.

    Raises:
        CompressError: a candidate cannot be loaded or run.
    """
    fit = working(candidates)
    found = scores.of(fit)
    # A recipe that the user named has no rivals: the final comparison alone times it.
    ratios = {} if plan.chosen_by_user else stopwatch.compare(fit)
    drops = {name: score.drop for name, score in found.items()}
    baseline = next((score.baseline for score in found.values()), float("nan"))
    forecasts = {name: scores.forecast(score) for name, score in found.items()}
    tried = [_tried(one, drops, forecasts, ratios.get(FP32, {})) for one in candidates]
    return Trial(
        base=base,
        baseline=baseline,
        candidates=candidates,
        accuracies={name: score.result for name, score in found.items()},
        drops=drops,
        ratios=ratios,
        choice=_choice(plan, tried, scores.limits(baseline)),
    )


def _choice(plan: Plan, tried: Sequence[Tried], limits: Limits) -> Choice:
    if plan.chosen_by_user:
        return Choice(tried[0].name, {tried[0].name: "the recipe that was asked for"})
    return choose(tried, limits, headline=headline_of(plan.kind))


def _tried(
    candidate: Candidate,
    drops: Mapping[str, float],
    forecasts: Mapping[str, Forecast],
    ratios: Mapping[str, Mapping[str, Ratio]],
) -> Tried:
    name = candidate.recipe.name
    if candidate.error:
        return Tried(name=name, error=candidate.error)
    return Tried(
        name=name,
        size_bytes=candidate.size_bytes,
        drop=drops[name],
        forecast=forecasts[name],
        speedup=ratios.get(name),
    )


def _limits(plan: Plan, metric: str, baseline: float) -> Limits:
    budgets = plan.budgets
    return Limits(
        drop=allowed_drop(plan.max_drop, metric=metric, baseline=baseline),
        size_bytes=budgets.max_size,
        speedup=budgets.min_speedup,
        smaller_is_enough=budgets.max_size is not None,
        prefer=plan.prefer,
    )
