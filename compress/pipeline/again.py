"""Time and judge what exists already: checkpoints and artifacts, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compress.core.artifact import GRAPH_NAME, ArtifactKind
from compress.core.errors import CompressError
from compress.graph.session import GENAI, open_runner
from compress.measure.catalogue import choose_metric
from compress.measure.confinement import NO_LIMITS, confinement_of
from compress.measure.evaluate import evaluate
from compress.measure.host import detect_host, differences
from compress.measure.latency import interleave, ratio
from compress.measure.metric import Tools
from compress.model.safety import read_json
from compress.pipeline.data import data_notes, read_items
from compress.pipeline.label_gate import check_models
from compress.pipeline.remotely import contenders_on, describe
from compress.pipeline.speed import threads_of
from compress.pipeline.tokenizer import told_cut
from compress.pipeline.workloads import feeds_of, workloads_of
from compress.runtime.files import same_tokenizer
from compress.runtime.preprocess import load_preprocessor
from compress.runtime.text import TextPreprocessor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from compress.core.artifact import Progress
    from compress.core.profile import Profile, Workload
    from compress.core.report import Accuracy
    from compress.core.settings import Settings
    from compress.graph.session import Runner
    from compress.measure.confinement import Confinement
    from compress.measure.host import Host
    from compress.measure.latency import Timings
    from compress.measure.processes import Timed
    from compress.measure.remote import Device
    from compress.pipeline.subjects import Subject


def bench(
    subjects: Sequence[Subject],
    profile: Profile,
    *,
    seconds: float,
    seed: int,
    progress: Progress,
    device: Device | None = None,
) -> dict[str, Any]:
    """Time subjects in turn at the profile's workloads, here or on a device; ratios are against the first.

    Raises:
        CompressError: one cannot be loaded or run, or they are for different tasks.
    """
    first = subjects[0]
    refuse_mixed(subjects)
    preprocessor = load_preprocessor(first.folder, task=first.task, inputs=first.specs())
    workloads = workloads_of(profile, kind_of(subjects))
    feeds = feeds_of(workloads, preprocessor)
    host = detect_host()
    limits = NO_LIMITS if device else confinement_of(profile, host)
    contenders = contenders_of(subjects, profile, device=device, confinement=limits, progress=progress)
    timings = interleave(contenders, feeds, progress=progress, budget_s=seconds, seed=seed, device=device)
    return {
        "target": profile.name,
        "host": describe(device) if device else host.describe(),
        "limits": list(limits.limits),
        "workloads": {name: workload.model_dump() for name, workload in workloads.items()},
        "results": [_result(one, first, timings, workloads) for one in subjects],
        "noise": [*timings.noise, *limits.told_refused(), *([] if device else _strange(profile, host))],
    }


def _strange(profile: Profile, host: Host) -> list[str]:
    """Why times taken here are not the target's."""
    return [
        f"these are times of this host, not of {profile.name}: {why}" for why in differences(profile, host)
    ]


def contenders_of(
    subjects: Sequence[Subject],
    profile: Profile,
    *,
    device: Device | None,
    confinement: Confinement,
    progress: Progress,
) -> Sequence[Timed]:
    """Subjects as they are timed, here under the limits of `confinement`, or on a device.

    Raises:
        CompressError: one cannot be sent.
    """
    if device is not None:
        return contenders_on(device, subjects, profile, progress=progress)
    threads = threads_of(profile)
    provider = profile.execution_provider
    return [one.contender(threads=threads, provider=provider, confinement=confinement) for one in subjects]


def refuse_mixed(subjects: Sequence[Subject]) -> None:
    """Refuse what cannot be compared.

    Raises:
        CompressError: the models are for different tasks, or one is named twice.
    """
    names = [one.name for one in subjects]
    tasks = sorted({one.task for one in subjects})
    if len(tasks) > 1:
        message = f"these are for different tasks: {', '.join(tasks)}"
        raise CompressError("task-mixed", message, hint="time models of one task together")
    if len(set(names)) < len(names):
        raise CompressError("subject-twice", "the same model is named twice", hint="name it once")


def kind_of(subjects: Sequence[Subject]) -> ArtifactKind:
    """Decoders are timed as such, also checkpoints among them; one without a cache cannot be.

    Raises:
        CompressError: artifacts with and without a cache are mixed.
    """
    runtimes = {one.runtime for one in subjects if one.runtime != "torch"}
    if GENAI not in runtimes and (runtimes or subjects[0].task != "text-generation"):
        return ArtifactKind.ONNX
    if runtimes - {GENAI}:
        message = "some of these decoders have a cache and some have none"
        raise CompressError("task-mixed", message, hint="time those with a cache by themselves")
    return ArtifactKind.GENAI


def _result(
    one: Subject, first: Subject, timings: Timings, workloads: Mapping[str, Workload]
) -> dict[str, Any]:
    return {
        "name": one.name,
        "runtime": one.runtime,
        "size_bytes": one.size_bytes,
        "load_s": timings.load_s[one.name],
        "peak_rss_bytes": timings.peak_rss_bytes[one.name],
        "workloads": {
            name: {
                "latency_ms": timings.latency_ms(one.name, name).model_dump(),
                "throughput_per_s": timings.throughput(one.name, name, batch=workload.batch),
                "speedup": None
                if one is first
                else ratio(timings, baseline=first.name, contender=one.name, workload=name).model_dump(),
            }
            for name, workload in workloads.items()
        },
    }


def evaluate_again(
    subject: Subject, settings: Settings, *, against: Subject | None, progress: Progress
) -> Accuracy:
    """Judge an artifact on data, by itself or against another artifact (its original, say).

    Raises:
        CompressError: the data has no answers and nothing is given to compare with, or does not fit.
    """
    for one in (subject, against):
        if one is not None and one.runtime == "torch":
            hint = "run `compress run` first; `--recipe fp32 --allow-fp32` publishes the original as ONNX"
            raise CompressError("artifact-missing", f"'{one.name}' is no artifact", hint=hint)
    runner = open_runner(subject.folder / GRAPH_NAME, runtime=subject.runtime)
    preprocessor = load_preprocessor(subject.folder, task=subject.task, inputs=runner.inputs)
    items = read_items(
        settings,
        task=subject.task,
        modality=preprocessor.modality,
        config=config_of(subject),
        folder=subject.folder,
    )
    for line in data_notes(items):
        progress.note(line)
    if isinstance(preprocessor, TextPreprocessor):
        for line in told_cut(preprocessor, items.rows, name="data"):
            progress.note(line)
    metric = choose_metric(
        subject.task, labelled=items.labelled, name=settings.metric, config=config_of(subject)
    )
    if metric.kind == "fidelity" and against is None:
        message = "without answers in the data, accuracy is fidelity to another artifact"
        raise CompressError("reference-missing", message, hint="pass --against ARTIFACT, or labelled --data")
    first = against or subject
    reference, tools = _reference(first, runner if first is subject else None)
    own = {}
    if not same_tokenizer(subject.folder, first.folder):
        own = {subject.name: Tools(
            folder=subject.folder, task=subject.task, preprocess=preprocessor, original=tools
        )}  # fmt: skip
    scores = evaluate(
        metric,
        reference,
        {subject.name: runner},
        folder=first.folder,
        task=first.task,
        preprocess=tools.preprocess,
        own=own,
        rows=items.rows,
        progress=progress,
        title="judge",
    )
    for line in check_models(
        metric, {subject.name: items.label_map}, {subject.name: scores[subject.name].records}
    ):
        progress.note(f"note: {line}")
    return scores[subject.name].accuracy()


def _reference(first: Subject, runner: Runner | None) -> tuple[Runner, Tools]:
    """What an artifact is compared with, and what prepares rows for that."""
    runner = runner or open_runner(first.folder / GRAPH_NAME, runtime=first.runtime)
    preprocess = load_preprocessor(first.folder, task=first.task, inputs=runner.inputs)
    return runner, Tools(folder=first.folder, task=first.task, preprocess=preprocess)


def config_of(subject: Subject) -> dict[str, Any]:
    """Its config.json."""
    return read_json(subject.folder / "config.json", code="config-missing")
