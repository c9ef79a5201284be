"""The Python interface: `compress.run(...)` and `compress.load(ARTIFACT)`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compress.core.artifact import Progress, Silent
from compress.core.settings import current

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from compress.pipeline.run import Outcome
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


def run_settings(model: str, flags: Mapping[str, Any], *, progress: Progress) -> Outcome:
    """`run` with flags that may be None where they were not given."""
    from compress.pipeline.plan import make_plan
    from compress.pipeline.run import execute
    from compress.report.files import render_all

    written = {name: str(value) if name == "out" and value else value for name, value in flags.items()}
    plan = make_plan(model, current(written), note=progress.note)
    return execute(plan, progress=progress, render=render_all)


def load(artifact: str | Path) -> LoadedModel:
    """An artifact ready to use: `encode`, `classify` or `predict` by its task, without torch.

    Raises:
        CompressError: the folder is not an artifact, or its runtime is not installed.
    """
    from pathlib import Path

    from compress.runtime.load import load as load_folder

    return load_folder(Path(artifact))
