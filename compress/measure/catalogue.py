"""The metrics there are, and which one a task is judged by."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError, did_you_mean
from compress.measure import metrics
from compress.measure.metrics.label_f1 import MULTI_LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from compress.measure.metric import Metric

FIDELITY = "fidelity"
"""Named as a metric, it stands for the task's own measure of fidelity."""


@lru_cache(maxsize=1)
def all_metrics() -> tuple[Metric, ...]:
    """Every metric in the folder, by the name of its file."""
    names = sorted(module.name for module in iter_modules(metrics.__path__))
    return tuple(import_module(f"{metrics.__name__}.{name}").METRIC for name in names)


def metric_names(task: str, config: Mapping[str, Any] | None = None) -> list[str]:
    """The names that `choose_metric` knows for a task."""
    return sorted({FIDELITY, *(metric.name for metric in _of_task(_subject(task, config or {})))})


def choose_metric(
    task: str, *, labelled: bool, name: str | None = None, config: Mapping[str, Any] | None = None
) -> Metric:
    """The metric called `name`, or the task's default: with answers in the data that of the task, without
    them fidelity to the original. (The text of language models is its own answer.)

    `config` is the model's config.json, which tells classifiers from models that give one score.

    Raises:
        CompressError: the task has no such metric, or it needs answers that the data does not have.
    """
    subject = _subject(task, config or {})
    if name is not None and _plain(name) != FIDELITY:
        return _named(name, subject, task, labelled)
    kinds = ("task", "fidelity") if name is None else ("fidelity",)
    for kind in kinds:
        for metric in _of_task(subject):
            usable = labelled or not metric.needs_labels
            if metric.kind == kind and subject in metric.default_for and usable:
                return metric
    raise CompressError("task-unsupported", f"there is no metric for the task '{task}'", hint="see README")


def _subject(task: str, config: Mapping[str, Any]) -> str:
    """The task, but `regression` for classifiers that give scores, and `multi-label` for those whose classes
    do not exclude each other.
    """
    if not task.endswith("-classification") or task == "token-classification":
        return task
    if len(config.get("id2label") or ()) == 1 or config.get("problem_type") == "regression":
        return "regression"
    return MULTI_LABEL if config.get("problem_type") == "multi_label_classification" else task


def _of_task(subject: str) -> list[Metric]:
    return [metric for metric in all_metrics() if subject in metric.tasks]


def _named(name: str, subject: str, task: str, labelled: bool) -> Metric:
    known = _of_task(subject)
    found = [metric for metric in known if _plain(name) in (metric.name, *metric.aliases)]
    if not found:
        hint = did_you_mean(_plain(name), {FIDELITY, *(metric.name for metric in known)})
        raise CompressError("metric-unknown", f"the task '{task}' has no metric '{name}'", hint=hint)
    if found[0].needs_labels and not labelled:
        message = f"the metric '{name}' needs the right answers, and the data has none"
        raise CompressError("metric-needs-labels", message, hint="name their column, or use fidelity")
    return found[0]


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", "_")
