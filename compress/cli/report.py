"""`compress report`: a saved report in another form, without measuring again."""

from __future__ import annotations

import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from compress.cli import options as o
from compress.cli.console import Console


class Form(StrEnum):
    """The forms of a report. `text` is the summary that `run` ends with."""

    TEXT = "text"
    HTML = "html"
    MD = "md"
    JSON = "json"


Format = Annotated[Form, typer.Option("--format", "-f", help="The form to write.")]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="A file to write, instead of stdout.", show_default=False),
]


def report(
    artifact: o.ArtifactFolder,
    form: Format = Form.TEXT,
    output: Output = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> int:
    """Render the report of ARTIFACT again, without measuring anything."""
    del debug
    from compress.report.files import read_report, render_all
    from compress.report.terminal import as_text, summary

    console = Console(as_json=json, verbosity=-quiet)
    saved = read_report(artifact)
    form = Form.JSON if json else form
    if form is Form.TEXT and output is None:
        console.print(*summary(*saved))
        return 0
    text = as_text(summary(*saved)) if form is Form.TEXT else render_all(*saved)[f"report.{form}"]
    if output is None:
        console.document(text.rstrip("\n"))
    else:
        _write(output, text)
        console.note(f"wrote {output}")
    return 0


def _write(path: Path, text: str) -> None:
    """Replace a file in one step: a reader sees the old one or the whole new one."""
    from compress.core.paths import unwritable

    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf8", newline="\n", dir=path.parent, delete=False
        ) as file:
            beside = Path(file.name)
            file.write(text)
        beside.chmod(0o644)
        beside.replace(path)
    except OSError as error:
        raise unwritable(path, error) from None


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(report)
