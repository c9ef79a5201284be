"""Models side by side: size, speed and accuracy on the same rows, and which of them nobody beats.

A small new model against a large old one is compared as two forms of one model are: each with its own
tokenizer, on the same rows, paired by row.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import permutations
from typing import TYPE_CHECKING, Any

from compress.core.allowance import RELATIVE
from compress.core.comparison import Compared, Comparison, Standing
from compress.core.errors import CompressError
from compress.core.profile import load_profile, priced
from compress.core.report import TargetFacts
from compress.data.items import modality_of
from compress.measure.catalogue import choose_metric
from compress.measure.confinement import NO_LIMITS, confinement_of
from compress.measure.host import detect_host, differences, on_host
from compress.measure.metric import Tools
from compress.measure.roofline import FIT
from compress.measure.side_by_side import Judged, records_of
from compress.pipeline.again import config_of, refuse_mixed
from compress.pipeline.data import data_notes, read_items
from compress.pipeline.label_gate import check_models
from compress.pipeline.paces import estimate_paces, measure_paces
from compress.pipeline.reference import reference_of
from compress.pipeline.remotely import describe
from compress.pipeline.workloads import DECODE
from compress.runtime.preprocess import load_preprocessor
from compress.stats.front import beats, by_interval, by_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from compress.core.artifact import Progress
    from compress.core.settings import Settings
    from compress.data.items import Items
    from compress.measure.metric import Metric, Records
    from compress.measure.remote import Device
    from compress.pipeline.paces import Paces
    from compress.pipeline.subjects import Subject
    from compress.runtime.preprocess import Preprocessor
    from compress.stats.front import Verdict


def compare(
    subjects: Sequence[Subject], settings: Settings, *, progress: Progress, device: Device | None = None
) -> Comparison:
    """Judge models here, and time them in turn, here or on a device. The first is what the others are
    compared with, without labels the uncompressed one.

    Raises:
        CompressError: one cannot be loaded or run, they are for different tasks, or the data does not fit.
    """
    refuse_mixed(subjects)
    host = detect_host()
    named = load_profile(settings.target)
    paid = priced(named, watts=settings.watts, price_per_hour=settings.price_per_hour)
    profile = paid if device else on_host(paid, host)
    reasons = [] if device else differences(profile, host)
    limits = NO_LIMITS if device or reasons else confinement_of(profile, host)
    judgement = judge_all(subjects, settings, progress=progress)
    subjects = sorted(subjects, key=lambda one: one.name != judgement.reference)
    if reasons:
        paces = estimate_paces(subjects, profile, reasons=reasons, progress=progress)
    else:
        paces = measure_paces(
            subjects,
            profile,
            seconds=settings.seconds,
            seed=settings.seed,
            progress=progress,
            device=device,
            confinement=limits,
        )
    return Comparison(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        task=subjects[0].task,
        target=TargetFacts(
            profile=profile.name,
            host=describe(device) if device else host.describe(),
            measured=not reasons,
            constrained=bool(limits.limits),
            limits=limits.limits,
            estimate=FIT if reasons else None,
        ),
        workloads=dict(paces.workloads),
        data=judgement.data,
        models=tuple(_compared(one, subjects, judgement, paces) for one in subjects),
        samples=tuple(paces.samples()),
        noise=paces.noise,
        notes=judgement.notes,
    )


def _compared(
    one: Subject,
    subjects: Sequence[Subject],
    judgement: Judgement,
    paces: Paces,
) -> Compared:
    first = subjects[0]
    ratios = {name: paces.ratio(first.name, one.name, name) for name in paces.workloads}
    return Compared(
        name=one.name,
        runtime=one.runtime,
        figures=paces.figures(one),
        standing=judgement.standing(one.name),
        cost=paces.cost(one),
        speedup=None if one is first else {name: found for name, found in ratios.items() if found},
        beaten_by=tuple(
            other.name
            for other, beaten in permutations(subjects, 2)
            if beaten is one
            and not judgement.is_yardstick(one.name)
            and beats(_verdicts(other, one, judgement, paces))
        ),
    )


def _verdicts(one: Subject, other: Subject, judgement: Judgement, paces: Paces) -> list[Verdict]:
    """Of `one` in the place of `other`: size, time and accuracy. A time that the intervals do not tell
    apart is equal; an accuracy that is lower is worse, however little, unless nothing is known of it.
    """
    found = [by_value(one.size_bytes, other.size_bytes)]
    ratio = paces.ratio(other.name, one.name, DECODE if DECODE in paces.workloads else "latency")
    if ratio is not None:
        found.append(by_interval(ratio.low, ratio.high))
    drop = judgement.drop(other.name, one.name)
    return found if drop is None else [*found, by_value(drop, 0.0)]


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The records of every model on the same rows; none where they cannot be compared."""

    metric: Metric
    reference: str
    """The name of the model that the others are compared with."""
    labelled: bool
    records: Mapping[str, Records]
    data: dict[str, Any]
    notes: list[str]

    def standing(self, name: str) -> Standing | None:
        """How good one model is, and how much worse than the first."""
        if not self.records:
            return None
        reference, own = self.records[self.reference], self.records[name]
        found = self.metric.compare(reference, own)
        items = len(next(iter(own.values())))
        standing = Standing(metric=self.metric.name, kind=self.metric.kind, items=items, value=found.result)
        if name == self.reference:
            return standing
        low = self._least(reference, own)
        return standing.model_copy(update={"drop": found.drop, "low": low, "high": found.bound})

    def is_yardstick(self, name: str) -> bool:
        """Whether accuracy is agreement with this model: then none of the others can be better."""
        return name == self.reference and not self.labelled

    def drop(self, reference: str, name: str) -> float | None:
        """How much worse one model is than another, None where that is not known."""
        if not self.records:
            return None
        found = {one: self.metric.compare(self.records[self.reference], self.records[one]).drop
                 for one in (reference, name)}  # fmt: skip
        return found[name] - found[reference]

    def _least(self, reference: Records, own: Records) -> float | None:
        """The drop at least, with 95%: what the first loses at most in the other's place."""
        if self.metric.kind == "fidelity":
            return None
        gain = self.metric.compare(own, reference).bound
        return 1 / (1 + gain) - 1 if self.metric.name in RELATIVE else -gain


def judge_all(subjects: Sequence[Subject], settings: Settings, *, progress: Progress) -> Judgement:
    """The records of every model on the rows of the data, each with its own tokenizer and labels.

    Raises:
        CompressError: the data is missing or does not fit the task, or the metric is unknown.
    """
    first = subjects[0]
    preprocessor = load_preprocessor(first.folder, task=first.task, inputs=first.specs())
    items = [_items(one, settings, preprocessor, template=first.folder) for one in subjects]
    labelled = items[0].labelled
    reference = reference_of(subjects, labelled=labelled)
    metric = _metric(subjects, settings, items[0])
    records: dict[str, Records] = {}
    notes = data_notes(items[0])
    if not labelled and reference is not first:
        notes.append(f"without labels, compared with {reference.name}")
    try:
        _refuse_other_tokens(metric, subjects)
        records = _records(metric, subjects, items, reference, progress)
    except CompressError as error:
        if error.code != "inputs-differ":
            raise
        notes += [f"accuracy is not compared: {error.message}; {error.hint}"]
    maps = {one.name: own.label_map for one, own in zip(subjects, items, strict=True)}
    notes += check_models(metric, maps, records)
    return Judgement(
        metric=metric,
        reference=reference.name,
        labelled=labelled,
        records=records,
        data=_facts(items[0]),
        notes=notes,
    )


def _records(
    metric: Metric,
    subjects: Sequence[Subject],
    items: Sequence[Items],
    first: Subject,
    progress: Progress,
) -> dict[str, Records]:
    """One model after another, so that two are in memory at most."""
    reference = _judged(first, items[subjects.index(first)])
    found: dict[str, Records] = {}
    with progress.track("judge", len(items[0]) * len(subjects)) as advance:
        for one, rows in zip(subjects, items, strict=True):
            judged = reference if one is first else _judged(one, rows)
            found[one.name] = records_of(metric, judged, reference=reference, advance=advance)
    return found


def _facts(items: Items) -> dict[str, Any]:
    return {
        "source": items.source,
        "licence": items.licence,
        "columns": dict(items.columns),
        "items": len(items),
        "digest": items.digest,
    }


def _items(one: Subject, settings: Settings, preprocessor: Preprocessor, *, template: Path) -> Items:
    """The rows, with labels as this model numbers its classes; conversations are the same text for all."""
    modality = preprocessor.modality or modality_of(one.task)
    return read_items(settings, task=one.task, modality=modality, config=config_of(one), folder=template)


def _metric(subjects: Sequence[Subject], settings: Settings, items: Items) -> Metric:
    """The metric that is named, or the task's; for models of language whose tokens differ bits per byte.

    Raises:
        CompressError: there is none.
    """
    first = subjects[0]
    name = settings.metric
    if name is None and first.task == "text-generation" and not _same_tokens(subjects):
        name = "bits_per_byte"
    return choose_metric(first.task, labelled=items.labelled, name=name, config=config_of(first))


def _refuse_other_tokens(metric: Metric, subjects: Sequence[Subject]) -> None:
    """Refuse what depends on tokens or classes where these differ.

    Raises:
        CompressError: they do (`inputs-differ`).
    """
    hint = "give data with answers"
    if metric.name == "perplexity" and not _same_tokens(subjects):
        message = "perplexities of models with different tokens say nothing about each other"
        raise CompressError("inputs-differ", message, hint=hint)
    classes = {str(sorted((config_of(one).get("id2label") or {}).items())) for one in subjects}
    if metric.needs_same_inputs and len(classes) > 1:
        raise CompressError("inputs-differ", "the models have different classes", hint=hint)


def _same_tokens(subjects: Sequence[Subject]) -> bool:
    return len({_vocabulary(one) for one in subjects}) == 1


def _vocabulary(one: Subject) -> bytes:
    path = one.folder / "tokenizer.json"
    return path.read_bytes() if path.is_file() else str(one.folder).encode()


def _judged(one: Subject, items: Items) -> Judged:
    runner = one.open()
    preprocess = load_preprocessor(one.folder, task=one.task, inputs=runner.inputs)
    tools = Tools(folder=one.folder, task=one.task, preprocess=preprocess)
    return Judged(name=one.name, runner=runner, tools=tools, rows=items.rows)
