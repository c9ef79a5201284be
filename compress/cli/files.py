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

            write_file(self.summary, markdown(outcomes), mode="a")
        if self.junit is not None:
            from compress.report.junit import render_junit

            write_file(self.junit, render_junit(outcomes), mode="w")


def write_file(path: Path, text: str, *, mode: str) -> None:
    """Write or (`a`) add to a text file, in a folder that is made where there is none.

    Raises:
        CompressError: it cannot be written.
    """
    from compress.core.paths import unwritable

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open(mode, encoding="utf8", newline="\n") as stream:
            stream.write(text)
    except OSError as error:
        raise unwritable(path, error) from None
