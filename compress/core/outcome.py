"""What became of one model for one target, when several are run, or one that failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from compress.core.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compress.core.report import Evidence, Report


@dataclass(frozen=True, kw_only=True)
class JobOutcome:
    """`report` is None where a run ended before there was one: then `error` says why."""

    model: str
    target: str
    exit_code: ExitCode
    report: Report | None = None
    evidence: Evidence | None = None
    folder: str | None = None
    """Where the artifact was published, None where nothing was."""
    kept: str | None = None
    """Where an artifact is that missed its budget."""
    error: str = ""
    hint: str = ""

    @property
    def name(self) -> str:
        """The model and its target in words."""
        return f"{self.model} for {self.target}"


_WORST_FIRST = (
    ExitCode.INTERRUPTED,
    ExitCode.INTERNAL,
    ExitCode.USER,
    ExitCode.BUDGET_MISSED,
    ExitCode.INCONCLUSIVE,
    ExitCode.OK,
)


def worst(codes: Sequence[ExitCode]) -> ExitCode:
    """The one exit code of several runs: of errors before missed budgets before undecided ones."""
    return min(codes, key=_WORST_FIRST.index, default=ExitCode.OK)
