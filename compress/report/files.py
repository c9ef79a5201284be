"""Read a saved report, and render all its forms, without measuring anything again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from compress.core.config import Frozen
from compress.core.errors import CompressError
from compress.core.regular_files import read_json
from compress.core.report import Evidence, Report
from compress.core.visible import visible
from compress.report.html import render_html
from compress.report.markdown import render_markdown
from compress.report.sbom import render_sbom

if TYPE_CHECKING:
    from pathlib import Path

REPORT, EVIDENCE = "report.json", "evidence.json"

Document = TypeVar("Document", bound=Frozen)


def read_report(folder: Path) -> tuple[Report, Evidence]:
    """The report and the evidence of a finished artifact.

    Raises:
        CompressError: a file is missing (`report-missing`) or is not what it should be
            (`report-invalid`).
    """
    return _read(folder / REPORT, Report), _read(folder / EVIDENCE, Evidence)


def render_all(report: Report, evidence: Evidence, folder: Path | None = None) -> dict[str, str]:
    """Every file of the report by its name; with the artifact's `folder` also its bill of materials."""
    documents = {
        REPORT: _json(report),
        EVIDENCE: _json(evidence),
        "report.md": render_markdown(report, evidence),
        "report.html": render_html(report, evidence),
    }
    if folder is not None:
        documents["sbom.cdx.json"] = render_sbom(report, evidence, folder=folder)
    return documents


def _json(document: Frozen) -> str:
    """A document in which no character is one that a terminal obeys, such as those of C1."""
    text = document.model_dump_json(indent=2)
    hidden = {sign for sign in set(text) - {"\n"} if visible(sign) != sign}
    for sign in hidden:
        text = text.replace(sign, json.dumps(sign)[1:-1])
    return f"{text}\n"


def _read(path: Path, kind: type[Document]) -> Document:
    try:
        return kind.model_validate(read_json(path, code="report-invalid"))
    except (FileNotFoundError, NotADirectoryError):
        message = f"no {path.name} in {path.parent}"
        hint = "name a folder that `compress run` published"
        raise CompressError("report-missing", message, hint=hint) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        message = f"{path}: {where}: {first['msg']}"
        hint = "it was changed or is of another version: run `compress verify`"
        raise CompressError("report-invalid", message, hint=hint) from None
