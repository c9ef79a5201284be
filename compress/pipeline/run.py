"""The main job: try, choose, measure, gate, publish."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from compress.core.artifact import Artifact, ArtifactKind
from compress.core.errors import CompressError, ExitCode
from compress.core.report import Speedup
from compress.graph.io import graph_bytes
from compress.graph.session import open_runner
from compress.model.safety import checkpoint_bytes
from compress.pipeline import evidence
from compress.pipeline.beside import told_beside
from compress.pipeline.cache import cache_folder, package_versions, workspace
from compress.pipeline.contenders import FP32, RESULT, TORCH, TORCH_BFLOAT16, make_candidates
from compress.pipeline.costs import costs_of
from compress.pipeline.elsewhere import elsewhere, told_elsewhere, told_tokens
from compress.pipeline.estimate import Estimator
from compress.pipeline.execute import Executor
from compress.pipeline.gate import Findings, exit_code, judge
from compress.pipeline.judge import Judge
from compress.pipeline.label_gate import check_baseline
from compress.pipeline.manifest import Source, write_manifest
from compress.pipeline.messages import Spec
from compress.pipeline.operators import profile_operators, told_operators
from compress.pipeline.publish import publish
from compress.pipeline.rows import write_rows
from compress.pipeline.savings import saving_lines
from compress.pipeline.settle import judge_on_test, result_of
from compress.pipeline.speed import Stopwatch
from compress.pipeline.splits import prepare_items
from compress.pipeline.tokenizer import check_data
from compress.pipeline.trial import Scores, run_trial
from compress.pipeline.workloads import headline_of
from compress.runtime.preprocess import load_preprocessor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from compress.core.artifact import Progress
    from compress.core.operators import Operators, SavingLine
    from compress.core.recipe import Recipe
    from compress.core.report import Evidence, Report
    from compress.pipeline.execute import Made
    from compress.pipeline.plan import Plan
    from compress.pipeline.settle import Settled
    from compress.pipeline.splits import Splits
    from compress.runtime.preprocess import Preprocessor

    Render = Callable[[Report, Evidence, Path], Mapping[str, str]]
    """Documents by file name, of a report and the folder with the artifact's files."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run left. `folder` is None where nothing was published; what missed its budget is `kept`."""

    folder: Path | None
    kept: Path | None = None
    report: Report
    evidence: Evidence
    exit_code: ExitCode


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What the stages of a run share."""

    plan: Plan
    splits: Splits
    base: Made
    executor: Executor
    judge: Judge
    stopwatch: Stopwatch | Estimator
    told: Sequence[str] = ()
    """What was noticed of the data, for the report."""

    @property
    def source(self) -> Artifact:
        """The checkpoint."""
        return source_of(self.plan)


def execute(plan: Plan, *, progress: Progress, render: Render) -> Outcome:
    """Carry a plan out. Data is read first, since it is what users get wrong most.

    Returns:
        The outcome; where a budget was missed nothing is published and its exit code says so.

    Raises:
        CompressError: something that the user can mend; nothing is left behind.
    """
    splits = prepare_items(plan, note=progress.note)
    with workspace() as work:
        bench = set_up(plan, splits, work, progress)
        scores = Scores(plan, bench.judge)
        candidates = make_candidates(plan, bench.executor, bench.source, keeps=scores.keeps)
        trial = run_trial(
            plan, base=bench.base, candidates=candidates, scores=scores, stopwatch=bench.stopwatch
        )
        result_of(plan, trial)  # raises where there is nothing to publish, before the test part is judged
        settled = judge_on_test(
            trial, plan=plan, judge=bench.judge, executor=bench.executor, source=bench.source
        )
        artifact, recipe = result_of(plan, settled.trial)
        report, found = _measure(bench, settled)
    code = exit_code(report.gate, user_set=plan.budgets.set_by_user)
    missed = code in (ExitCode.BUDGET_MISSED, ExitCode.INCONCLUSIVE)
    folder = cache_folder() / "failed" / plan.out.name if missed else plan.out
    with progress.track("keep the artifact" if missed else "publish"):
        _publish(plan, folder, artifact, recipe, report, found, render, replace=missed, note=progress.note)
    return Outcome(
        folder=folder if not missed or plan.settings.values.keep_failed else None,
        kept=folder if missed else None,
        report=report,
        evidence=found,
        exit_code=code,
    )


def set_up(plan: Plan, splits: Splits, work: Path, progress: Progress) -> Bench:
    """Export the fp32 graph and get ready to judge and to time what is made from the checkpoint."""
    rows = work / "rows.jsonl"
    executor = Executor(
        steps=cache_folder() / "steps",
        rows=rows,
        rows_digest=write_rows(splits.calibration_rows(plan.model.task), rows),
        profile=plan.profile,
        progress=progress,
        seed=plan.settings.values.seed,
        processor=plan.model.folder,
    )
    base = executor.apply(plan.base, source_of(plan), digest=plan.model.digest).made[-1]
    inputs = open_runner(base.artifact.graph).inputs
    executor.inputs = tuple(Spec(name=one.name, dtype=one.dtype, shape=one.shape) for one in inputs)
    executor.processor = base.artifact.folder
    preprocessor = load_preprocessor(base.artifact.folder, task=plan.model.task, inputs=inputs)
    judge = Judge(plan=plan, splits=splits, base=base.artifact, preprocessor=preprocessor, progress=progress)
    told = check_data(plan.model.folder, base.artifact.folder, preprocessor, splits, note=progress.note)
    return Bench(
        told=[*check_baseline(judge), *told],
        plan=plan,
        splits=splits,
        base=base,
        executor=executor,
        judge=judge,
        stopwatch=_stopwatch(plan, base.artifact, preprocessor, progress),
    )


def _stopwatch(
    plan: Plan, base: Artifact, preprocessor: Preprocessor, progress: Progress
) -> Stopwatch | Estimator:
    if plan.differences:
        return Estimator(
            profile=plan.profile,
            base=base,
            preprocessor=preprocessor,
            progress=progress,
            differences=plan.differences,
        )
    values = plan.settings.values
    return Stopwatch(
        profile=plan.profile,
        checkpoint=source_of(plan),
        base=base,
        preprocessor=preprocessor,
        progress=progress,
        seconds=values.seconds,
        seed=values.seed,
        confinement=plan.confinement,
        device=plan.device,
    )


def source_of(plan: Plan) -> Artifact:
    """The checkpoint that a plan starts from."""
    return Artifact(kind=ArtifactKind.CHECKPOINT, folder=plan.model.folder, task=plan.model.task)


def _measure(bench: Bench, settled: Settled) -> tuple[Report, Evidence]:
    """Time the settled candidate and put its report together."""
    plan, trial = bench.plan, settled.trial
    artifact, recipe = result_of(plan, trial)
    accuracy, plain = settled.accuracy, settled.uncalibrated
    other = elsewhere(bench.judge, artifact.graph, recipe, task=plan.model.task)
    notes = [
        *bench.told,
        *told_beside(plain, accuracy),
        *told_elsewhere(other),
        *told_tokens(artifact.folder, bench.base.artifact.folder, bench.splits.test.rows),
    ]
    final = bench.stopwatch.final(artifact.graph, runtime=recipe.runtime)
    sizes = {
        TORCH: (stored := checkpoint_bytes(plan.model.folder)),
        TORCH_BFLOAT16: stored,
        FP32: graph_bytes(bench.base.artifact.graph),
        RESULT: graph_bytes(artifact.graph),
    }
    figures, ratios = final.figures(sizes), final.ratios
    headline = headline_of(plan.kind)
    speedup = Speedup(
        vs_torch=ratios.get(TORCH, {}).get(headline),
        vs_onnxruntime_fp32=ratios[FP32][headline],
        vs_torch_bfloat16=ratios.get(TORCH_BFLOAT16, {}).get(headline),
    )
    operators = _operators(bench, artifact, recipe)
    notes += told_operators(operators, runtime=recipe.runtime)
    gate = judge(plan.budgets, Findings(result=figures[RESULT], speedup=speedup, accuracy=accuracy))
    report = evidence.make_report(
        plan,
        figures=figures,
        speedup=speedup,
        accuracy=accuracy,
        gate=gate,
        steps=evidence.step_lines(trial),
        operators=operators,
    )
    return report, evidence.make_evidence(
        splits=bench.splits,
        trial=trial,
        result=artifact.graph,
        host=plan.device.facts if plan.device else plan.host.facts(),
        samples=final.samples(),
        ratios=ratios,
        costs=costs_of(figures, plan.profile, joules_each=final.joules_each()),
        noise=final.noise,
        notes=notes,
        elsewhere=None if isinstance(other, str) else other,
        uncalibrated=plain,
        savings=_savings(bench, operators),
    )


def _operators(bench: Bench, artifact: Artifact, recipe: Recipe) -> Operators | None:
    """Latency by operator, where the target is this host."""
    if bench.plan.differences:
        return None
    return profile_operators(
        bench.base.artifact,
        artifact.graph,
        runtime=recipe.runtime,
        profile=bench.plan.profile,
        preprocessor=bench.stopwatch.preprocessor,
        progress=bench.stopwatch.progress,
    )


def _savings(bench: Bench, operators: Operators | None) -> list[SavingLine]:
    """What pruning the original would save; of a structure that no step prunes, nothing."""
    model, progress = bench.plan.model, bench.stopwatch.progress
    try:
        with progress.track("look for what pruning would save"):
            return saving_lines(model.folder, model.task, parameters=model.parameters, operators=operators)
    except CompressError as error:
        progress.note(f"what pruning would save is not known: {error.message}")
        return []


def _publish(
    plan: Plan,
    folder: Path,
    artifact: Artifact,
    recipe: Recipe,
    report: Report,
    found: Evidence,
    render: Render,
    *,
    replace: bool,
    note: Callable[[str], None],
) -> None:
    def seal(beside: Path) -> None:
        write_manifest(
            beside,
            created=found.created,
            task=plan.model.task,
            source=Source(ref=plan.model.ref, revision=plan.model.revision, digest=plan.model.digest),
            recipe=recipe,
            seed=plan.settings.values.seed,
            host=found.host,
            versions=package_versions(),
        )

    publish(
        artifact.folder,
        folder,
        documents=lambda beside: render(report, found, beside),
        seal=seal,
        replace=replace or plan.settings.values.overwrite,
        note=note,
    )
