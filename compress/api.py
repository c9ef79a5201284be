"""The Python interface: `compress.run(...)` and `compress.load(ARTIFACT)`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.core.artifact import Progress, Silent
from compress.core.settings import current

if TYPE_CHECKING:
    from collections.abc import Mapping

    from compress.core.outcome import JobOutcome
    from compress.core.settings import Job, Layered
    from compress.measure.remote import Device
    from compress.pipeline.run import Outcome
    from compress.runtime.generate import LoadedDecoder
    from compress.runtime.load import LoadedModel


def run(model: str | Path, *, progress: Progress | None = None, **settings: Any) -> Outcome:
    """Compress `model`, as `compress run` does; `settings` are named as its flags are.

    Example: `compress.run("org/name", target="cpu", data="dev.csv", max_drop="0.5pt", out="small")`.

    Returns:
        The published folder, the report, and the exit code that the command would have: 0; 1 where a
        budget was missed and 4 where one that was set could not be decided, with `folder` None.

    Raises:
        CompressError: as the command would fail; `BudgetMissed` where no candidate was good enough.
    """
    return run_settings(str(model), settings, progress=progress or Silent())


def run_settings(
    model: str, flags: Mapping[str, Any], *, progress: Progress, device: Device | None = None
) -> Outcome:
    """`run` with flags that may be None where they were not given; speed is measured on `device`, if any."""
    return _run(model, current(_written(flags)), progress, device)


def run_project(flags: Mapping[str, Any], *, progress: Progress, strict: bool = False) -> list[JobOutcome]:
    """Every job of the nearest project file, one after another. Where `out` is not a job's own, it is the
    folder in which the artifacts' folders are made. `strict` raises internal errors as they are.

    Raises:
        CompressError: there are no jobs, one of them cannot be read, or their outputs collide or exist;
            nothing was run then.
    """
    from compress.core.settings import project_jobs
    from compress.pipeline.jobs import refuse_outputs, run_jobs

    jobs = [(job, _placed(job, current(_written(flags), job=job))) for job in project_jobs(Path.cwd())]
    refuse_outputs(jobs)
    return run_jobs(
        jobs,
        lambda job, settings: _run(job.model, settings, progress),
        progress=progress,
        strict=strict,
    )


def _run(model: str, settings: Layered, progress: Progress, device: Device | None = None) -> Outcome:
    from compress.pipeline.plan import make_plan

    plan = make_plan(model, settings, note=progress.note, device=device)
    # Not before: what cannot be planned is refused in the first second.
    from compress.pipeline.run import execute
    from compress.report.files import render_all

    return execute(plan, progress=progress, render=render_all)


def _placed(job: Job, settings: Layered) -> Layered:
    """The settings, with a folder of the job's own inside the one that all share."""
    from compress.core.profile import load_profile
    from compress.pipeline.plan import default_output

    values = settings.values
    if values.out is None or settings.origins["out"] == "job":
        return settings
    folder = Path(values.out) / default_output(job.model, load_profile(values.target).name)
    return replace(settings, values=values.model_copy(update={"out": str(folder)}))


def _written(flags: Mapping[str, Any]) -> dict[str, Any]:
    return {name: str(value) if name == "out" and value else value for name, value in flags.items()}


def load(artifact: str | Path, *, threads: int = 0) -> LoadedModel | LoadedDecoder:
    """An artifact ready to use: `encode`, `classify`, `predict` or `generate` by its task, without torch. It
    computes with so many `threads`; 0 is one for each core that this process may use.

    Raises:
        CompressError: the folder is not an artifact, or its runtime is not installed.
    """
    from compress.runtime.load import load as load_folder

    return load_folder(Path(artifact), threads=threads)
