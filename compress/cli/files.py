"""The files that CI systems pick up beside the answer: a summary in Markdown, and JUnit XML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from compress.core.outcome import JobOutcome


@dataclass(frozen=True, kw_only=True)
class Files:
    """Where they are asked for; None: not."""

    summary: Path | None
    """Added to, since `$GITHUB_STEP_SUMMARY` may hold other steps' words."""
    junit: Path | None

    def write(self, outcomes: Sequence[JobOutcome]) -> None:
        """Write those that are asked for.

        Raises:
            CompressError: one cannot be written.
        """
        if self.summary is not None:
            from compress.report.jobs import markdown

            _write(self.summary, markdown(outcomes), mode="a")
        if self.junit is not None:
            from compress.report.junit import render_junit

            _write(self.junit, render_junit(outcomes), mode="w")


def _write(path: Path, text: str, *, mode: str) -> None:
    from compress.core.paths import unwritable

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open(mode, encoding="utf8", newline="\n") as stream:
            stream.write(text)
    except OSError as error:
        raise unwritable(path, error) from None
