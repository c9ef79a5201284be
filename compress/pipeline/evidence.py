"""`report.json` and `evidence.json` from what a run found."""

from __future__ import annotations

import json
import platform
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from compress.core.report import (
    Baselines,
    CandidateLine,
    Component,
    Evidence,
    GroupBits,
    ModelFacts,
    Report,
    Speedup,
    StepLine,
    TargetFacts,
)
from compress.graph.census import census
from compress.graph.io import read_graph
from compress.measure.roofline import FIT
from compress.passes.export.fuse import FUSE_FACTS
from compress.passes.export.onnx import EXPORT_FACTS
from compress.passes.gptq_settings import SENSITIVITY
from compress.pipeline.cache import package_versions
from compress.pipeline.contenders import FP32, RESULT, TORCH, TORCH_BFLOAT16
from compress.pipeline.remotely import describe
from compress.pipeline.steps import bind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from compress.core.cost import Cost
    from compress.core.operators import Operators, SavingLine
    from compress.core.report import Accuracy, Elsewhere, Figures, Gate, Ratio, Samples, Uncalibrated
    from compress.pipeline.contenders import Candidate
    from compress.pipeline.execute import Dropped, Made
    from compress.pipeline.plan import Plan
    from compress.pipeline.splits import Splits
    from compress.pipeline.trial import Trial


def model_facts(plan: Plan) -> ModelFacts:
    """What was compressed."""
    return ModelFacts(
        ref=plan.model.ref,
        kind=plan.model.kind.value,
        task=plan.model.task,
        digest=plan.model.digest,
        parameters=plan.model.parameters,
    )


def target_facts(plan: Plan) -> TargetFacts:
    """Where its figures hold."""
    limits = plan.confinement.limits
    return TargetFacts(
        profile=plan.profile.name,
        host=describe(plan.device) if plan.device else plan.host.describe(),
        measured=not plan.differences,
        constrained=bool(limits),
        limits=limits,
        estimate=FIT if plan.differences else None,
    )


def make_report(
    plan: Plan,
    *,
    figures: Mapping[str, Figures],
    speedup: Speedup,
    accuracy: Accuracy,
    gate: Gate,
    steps: Sequence[StepLine],
    operators: Operators | None = None,
) -> Report:
    """Put `report.json` together; `figures` are of both baselines and of the result."""
    return Report(
        model=model_facts(plan),
        target=target_facts(plan),
        baselines=Baselines(
            torch=figures.get(TORCH),
            onnxruntime_fp32=figures[FP32],
            torch_bfloat16=figures.get(TORCH_BFLOAT16),
        ),
        result=figures[RESULT],
        speedup=speedup,
        accuracy=accuracy,
        gate=gate,
        steps=tuple(steps),
        operators=operators,
    )


def step_lines(trial: Trial) -> list[StepLine]:
    """Every step that ran or was dropped: the export that all start from, then each candidate's own."""
    lines = [_line(trial.base, recipe="plain export", accuracy=trial.baseline, kept=True, why=_BASE)]
    for candidate in trial.candidates:
        lines += _candidate_steps(candidate, trial)
    return lines


def _candidate_steps(candidate: Candidate, trial: Trial) -> list[StepLine]:
    name = candidate.recipe.name
    kept, why = name == trial.choice.winner, trial.choice.why.get(name, "")
    own = [made for made in candidate.made if made.artifact.folder != trial.base.artifact.folder]
    lines = [
        _line(made, recipe=name, accuracy=None, kept=kept, why=f"a step of '{name}'") for made in own[:-1]
    ]
    lines += [
        _line(made, recipe=name, accuracy=trial.accuracies.get(name), kept=kept, why=why) for made in own[-1:]
    ]
    return lines + [_dropped(one, name) for one in candidate.dropped]


def _dropped(dropped: Dropped, recipe: str) -> StepLine:
    return StepLine(
        name=dropped.step.name,
        config={"recipe": recipe, **dropped.step.config},
        seconds=0.0,
        peak_rss_bytes=0,
        size_bytes=0,
        accuracy=None,
        kept=False,
        why=f"dropped: {dropped.why}",
    )


_BASE = "the baseline: the fp32 graph as torch exports it"


def _line(made: Made, *, recipe: str, accuracy: float | None, kept: bool, why: str) -> StepLine:
    return StepLine(
        name=made.step.name,
        config={"recipe": recipe, **bind(made.step).config.model_dump(mode="json")},
        seconds=made.seconds,
        cpu_seconds=made.cpu_seconds,
        peak_rss_bytes=made.peak_rss_bytes,
        size_bytes=made.size_bytes,
        accuracy=accuracy,
        kept=kept,
        why="; ".join([why, *made.notes]),
    )


def candidate_lines(trial: Trial) -> tuple[CandidateLine, ...]:
    """Every recipe that was tried, with its figures on the choice part."""
    return tuple(_candidate(candidate, trial) for candidate in trial.candidates)


def _candidate(candidate: Candidate, trial: Trial) -> CandidateLine:
    name = candidate.recipe.name
    return CandidateLine(
        name=name,
        runtime=candidate.recipe.runtime,
        size_bytes=None if candidate.error else candidate.size_bytes,
        drop=trial.drops.get(name),
        vs_onnxruntime_fp32=trial.ratios.get(FP32, {}).get(name, {}),
        vs_torch=trial.ratios.get(TORCH, {}).get(name, {}),
        kept=name == trial.choice.winner,
        why=trial.choice.why.get(name, ""),
    )


def make_evidence(
    *,
    splits: Splits,
    trial: Trial,
    result: Path,
    host: dict[str, Any],
    samples: Sequence[Samples],
    ratios: dict[str, dict[str, Ratio]],
    costs: dict[str, Cost],
    noise: Sequence[str],
    notes: Sequence[str],
    elsewhere: Elsewhere | None = None,
    uncalibrated: Uncalibrated | None = None,
    savings: Sequence[SavingLine] = (),
) -> Evidence:
    """Put `evidence.json` together; `result` is the published graph."""
    parity = json.loads((trial.base.artifact.folder / EXPORT_FACTS).read_text(encoding="utf8"))["parity"]
    before, after = census(read_graph(trial.base.artifact.graph)), census(read_graph(result))
    return Evidence(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        data=data_facts(splits),
        host=host,
        versions={**package_versions(), "python": platform.python_version()},
        parity=parity,
        fused=_fused(result.parent),
        operators=after.operators,
        samples=tuple(samples),
        ratios=ratios,
        components=components(before.bytes, after.bytes),
        candidates=candidate_lines(trial),
        costs=costs,
        noise=list(noise),
        notes=list(notes),
        elsewhere=elsewhere,
        uncalibrated=uncalibrated,
        sensitivity=_sensitivity(trial),
        savings=tuple(savings),
    )


def _sensitivity(trial: Trial) -> tuple[GroupBits, ...]:
    """What the winner's steps measured of its groups of matrices, if any did."""
    made = [one for line in trial.candidates if line.recipe.name == trial.choice.winner for one in line.made]
    paths = [path for one in made if (path := one.artifact.folder / SENSITIVITY).exists()]
    if not paths:
        return ()
    return tuple(GroupBits(**group) for group in json.loads(paths[0].read_text(encoding="utf8"))["groups"])


def _fused(folder: Path) -> dict[str, int]:
    path = folder / FUSE_FACTS
    if not path.exists():
        return {}
    fused: dict[str, int] = json.loads(path.read_text(encoding="utf8"))["fused"]
    return fused


def data_facts(splits: Splits) -> dict[str, Any]:
    """Where the items came from and how they were parted."""
    return {
        "source": splits.items.source,
        "licence": splits.items.licence,
        "columns": dict(splits.items.columns),
        "label_map": dict(splits.items.label_map.classes) if splits.items.label_map else {},
        "label_map_basis": splits.items.label_map.basis if splits.items.label_map else None,
        "calibration_items": len(splits.calibration),
        "choice_items": len(splits.choice),
        "test_items": len(splits.test),
        "digest": splits.items.digest,
        "calibration": list(splits.unlabelled.names) if splits.unlabelled else [],
        "calibration_rows": len(splits.unlabelled.rows) if splits.unlabelled else len(splits.calibration),
        "general_rows": len(splits.general),
    }


def components(
    before: Mapping[tuple[str, str], int], after: Mapping[tuple[str, str], int]
) -> tuple[Component, ...]:
    """Bytes by component and dtype in two graphs, as lines."""
    keys = sorted(set(before) | set(after))
    return tuple(
        Component(name=name, dtype=dtype, before_bytes=before.get(key, 0), after_bytes=after.get(key, 0))
        for key in keys
        for name, dtype in [key]
    )
