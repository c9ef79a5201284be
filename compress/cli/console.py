"""The terminal as an injected object: answers go to stdout, everything else to stderr."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from compress.cli.plain_progress import plain_lines
from compress.core.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from compress.cli.terminal import VisibleConsole
    from compress.core.artifact import Advance

_BREAKS = "\n\t"
_LONGEST = 4000
"""Characters of one line: a stranger's name of a megabyte would fill the screen."""


class Console:
    """Where a command prints. `verbosity` is -1 (quiet), 0 or 1 (verbose).

    Names of tensors, files, labels, columns and keys are strangers' words: here alone, where everything
    passes, their control characters are made visible and each message becomes one line.

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
        """Write a line to stdout."""
        self._stdout.write(f"{visible(text)}\n")

    def document(self, text: str) -> None:
        """Write text of several lines to stdout, with a line end."""
        self._stdout.write(f"{visible(text, keep=_BREAKS)}\n")

    def write(self, text: str) -> None:
        """Write a piece of text that a model makes to stdout, at once."""
        self._stdout.write(visible(text, keep=_BREAKS))
        self._stdout.flush()

    def json(self, document: dict[str, Any]) -> None:
        """Write one JSON document to stdout; `schema_version` is put first when it lacks one."""
        self.document(json.dumps({"schema_version": 1, **document}, indent=2))

    def print(self, *renderables: RenderableType) -> None:
        """Write rich tables and text to stdout, plain where stdout is no terminal."""
        console = _rich(self._stdout)
        for renderable in renderables:
            console.print(renderable)

    def note(self, message: str) -> None:
        """A sentence on stderr, unless quiet."""
        if self.verbosity >= 0:
            self._stderr.write(f"{_line(message)}\n")
            self._stderr.flush()

    def debug(self, message: str) -> None:
        """A sentence on stderr, when verbose."""
        if self.verbosity > 0:
            self.note(message)

    def warn(self, message: str) -> None:
        """A warning on stderr, also when quiet."""
        self._stderr.write(f"warning: {_line(message)}\n")

    def error(self, message: str, hint: str = "") -> None:
        """An error and its hint on stderr, each in one line."""
        lines = [_line(message)] + ([f"hint: {_line(hint)}"] if hint else [])
        self._stderr.write("\n".join(lines) + "\n")

    def traceback(self, text: str) -> None:
        """A traceback on stderr, for `--debug`."""
        self._stderr.write(visible(text, keep=_BREAKS))

    @contextmanager
    def track(self, title: str, total: int | None = None) -> Iterator[Advance]:
        """One line of progress; see `compress.core.artifact.Progress`."""
        title = _line(title)
        if self.verbosity < 0:
            yield lambda steps=1: None
        elif self._stderr.isatty():
            with _bar(self._stderr, title, total) as advance:
                yield advance
        else:
            with plain_lines(self._stderr, title, total) as advance:
                yield advance


def _line(text: str) -> str:
    """Join the lines of a message, with its control characters shown and its length bounded."""
    line = visible(" ".join(text.split()))
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."


def _rich(stream: TextIO) -> VisibleConsole:
    from compress.cli.terminal import VisibleConsole

    return VisibleConsole(stream)


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

    columns = [SpinnerColumn(finished_text="[green]✓"), TextColumn("{task.description}", markup=False)]
    times = [TimeElapsedColumn()] if total is None else [BarColumn(bar_width=24), TimeRemainingColumn()]
    with Progress(*columns, *times, console=_rich(stream)) as progress:
        task = progress.add_task(title, total=total)
        yield lambda steps=1: progress.advance(task, steps)
        progress.update(task, total=total or 1, completed=total or 1)
