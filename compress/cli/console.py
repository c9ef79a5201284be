"""The terminal as an injected object: answers go to stdout, everything else to stderr."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from compress.cli.plain_progress import plain_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console as RichConsole
    from rich.console import RenderableType

    from compress.core.artifact import Advance


class Console:
    """Where a command prints. `verbosity` is -1 (quiet), 0 or 1 (verbose).

    It is also the `Progress` that steps are given: rich bars with the time that is left on a
    terminal, plain lines elsewhere (`plain_lines`), nothing under `-q`.
    """

    def __init__(
        self,
        *,
        as_json: bool = False,
        verbosity: int = 0,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
    ) -> None:
        self.as_json = as_json
        self.verbosity = verbosity
        self._stdout = stdout or sys.stdout
        self._stderr = stderr or sys.stderr

    def out(self, text: str) -> None:
        """Write text to stdout, with a line end."""
        self._stdout.write(f"{text}\n")

    def write(self, text: str) -> None:
        """Write text to stdout as it is, at once."""
        self._stdout.write(text)
        self._stdout.flush()

    def json(self, document: dict[str, Any]) -> None:
        """Write one JSON document to stdout; `schema_version` is put first when it lacks one."""
        self.out(json.dumps({"schema_version": 1, **document}, indent=2))

    def print(self, *renderables: RenderableType) -> None:
        """Write rich tables and text to stdout, plain where stdout is no terminal."""
        console = _rich(self._stdout)
        for renderable in renderables:
            console.print(renderable)

    def note(self, message: str) -> None:
        """A sentence on stderr, unless quiet."""
        if self.verbosity >= 0:
            _rich(self._stderr).print(message, markup=False, highlight=False, soft_wrap=True)

    def debug(self, message: str) -> None:
        """A sentence on stderr, when verbose."""
        if self.verbosity > 0:
            self.note(message)

    def warn(self, message: str) -> None:
        """A warning on stderr, also when quiet."""
        self._stderr.write(f"warning: {message}\n")

    def error(self, message: str, hint: str = "") -> None:
        """An error and its hint on stderr, each in one line."""
        lines = [" ".join(message.split())] + ([f"hint: {hint}"] if hint else [])
        self._stderr.write("\n".join(lines) + "\n")

    @contextmanager
    def track(self, title: str, total: int | None = None) -> Iterator[Advance]:
        """One line of progress; see `compress.core.artifact.Progress`."""
        if self.verbosity < 0:
            yield lambda steps=1: None
        elif self._stderr.isatty():
            with _bar(self._stderr, title, total) as advance:
                yield advance
        else:
            with plain_lines(self._stderr, title, total) as advance:
                yield advance


def _rich(stream: TextIO) -> RichConsole:
    from rich.console import Console as RichConsole

    # Where there is no terminal (a CI log, a pipe) rich assumes 80 columns: give tables more room.
    return RichConsole(file=stream, width=None if stream.isatty() else 120)


@contextmanager
def _bar(stream: TextIO, title: str, total: int | None) -> Iterator[Advance]:
    from rich.progress import (
        BarColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = [SpinnerColumn(finished_text="[green]✓"), TextColumn("{task.description}")]
    times = [TimeElapsedColumn()] if total is None else [BarColumn(bar_width=24), TimeRemainingColumn()]
    with Progress(*columns, *times, console=_rich(stream)) as progress:
        task = progress.add_task(title, total=total)
        yield lambda steps=1: progress.advance(task, steps)
        progress.update(task, total=total or 1, completed=total or 1)
