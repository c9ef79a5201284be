"""Scores of lm-evaluation-harness tasks, for one model or two side by side."""

from __future__ import annotations

from dataclasses import asdict
from importlib.util import find_spec
from typing import TYPE_CHECKING

from compress.core.distribution import install_extra
from compress.core.errors import CompressError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from compress.cli.console import Console
    from compress.measure.harness import TaskScore
    from compress.pipeline.subjects import Subject

TASK = "text-generation"


def show(
    subjects: Sequence[Subject],
    tasks: Sequence[str],
    *,
    extra: Path | None,
    limit: int | None,
    console: Console,
) -> None:
    """Score each subject on each task, and print a line a metric.

    Raises:
        CompressError: the harness is not installed, a task is unknown, or a subject is no decoder.
    """
    if find_spec("lm_eval") is None:
        message = "lm-evaluation-harness is not installed"
        raise CompressError("extra-missing", message, hint=install_extra("lm-eval"))
    from compress.measure.harness import score

    for subject in subjects:
        if subject.task != TASK:
            message = f"--harness is for {TASK}, the task of '{subject.name}' is {subject.task}"
            raise CompressError("task-unsupported", message, hint="leave --harness out")
    found = {one.name: score(one.folder, one.open(), tasks, extra=extra, limit=limit) for one in subjects}
    if console.as_json:
        console.json({name: [asdict(one) for one in scores] for name, scores in found.items()})
        return
    for name, scores in found.items():
        for one in scores:
            console.out(f"{name}: {_line(one)}")


def _line(one: TaskScore) -> str:
    error = "" if one.error is None else f" +- {one.error:.4f}"
    return f"{one.task} {one.metric} {one.value:.4f}{error} ({one.items} items)"
