"""Several runs in a row: one that fails does not keep the others from their turn."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from compress.core.errors import CompressError, InternalError
from compress.core.outcome import JobOutcome
from compress.core.paths import refuse_existing
from compress.core.profile import load_profile
from compress.core.storage import disk_error
from compress.pipeline.plan import default_output

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from compress.core.artifact import Progress
    from compress.core.settings import Job, Layered
    from compress.pipeline.run import Outcome


def refuse_outputs(jobs: Sequence[tuple[Job, Layered]]) -> None:
    """Refuse jobs whose artifacts could not be published, before any of them runs.

    Raises:
        CompressError: two jobs write the same folder, or one is there already.
    """
    outputs = [(job, _output(job, settings)) for job, settings in jobs]
    seen: dict[Path, Job] = {}
    for job, folder in outputs:
        other = seen.setdefault(folder.resolve(), job)
        if other is not job:
            message = f"the jobs of '{other.model}' and '{job.model}' both write {folder}"
            raise CompressError("output-collides", message, hint="give one of them another `out:`")
    for (_, folder), (_, settings) in zip(outputs, jobs, strict=True):
        refuse_existing(folder, replace=settings.values.overwrite)


def _output(job: Job, settings: Layered) -> Path:
    """The folder that a job publishes."""
    values = settings.values
    return Path(values.out or default_output(job.model, load_profile(values.target).name))


def run_jobs(
    jobs: Sequence[tuple[Job, Layered]],
    run: Callable[[Job, Layered], Outcome],
    *,
    progress: Progress,
    strict: bool = False,
) -> list[JobOutcome]:
    """Run each job with its settings; errors become outcomes with their exit code. `strict` raises what is
    no `CompressError`, for its traceback.
    """
    outcomes = []
    for number, (job, settings) in enumerate(jobs, 1):
        target = settings.values.target
        progress.note(f"[{number}/{len(jobs)}] {job.model} for {target}")
        outcomes.append(outcome_of(job.model, target, partial(run, job, settings), strict=strict))
    return outcomes


def outcome_of(model: str, target: str, run: Callable[[], Outcome], *, strict: bool = False) -> JobOutcome:
    """One run's outcome, also where it raises."""
    try:
        return finished(model, target, run())
    except CompressError as error:
        return failed(model, target, disk_error(error) or error)
    except Exception as error:
        if strict:
            raise
        disk = disk_error(error)
        if disk is not None:
            return failed(model, target, disk)
        reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        hint = "run again with --debug and report it"
        return failed(model, target, InternalError("internal", reason, hint=hint))


def finished(model: str, target: str, found: Outcome) -> JobOutcome:
    """The outcome of a run that came to a verdict."""
    return JobOutcome(
        model=model,
        target=target,
        exit_code=found.exit_code,
        report=found.report,
        evidence=found.evidence,
        folder=str(found.folder) if found.folder else None,
        kept=str(found.kept) if found.kept else None,
    )


def failed(model: str, target: str, error: CompressError) -> JobOutcome:
    """The outcome of a run that did not."""
    return JobOutcome(
        model=model, target=target, exit_code=error.exit_code, error=str(error), hint=error.hint
    )
