"""Read a saved report, and render all its forms, without measuring anything again."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from compress.core.config import Frozen
from compress.core.errors import CompressError
from compress.core.report import Evidence, Report
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
        REPORT: f"{report.model_dump_json(indent=2)}\n",
        EVIDENCE: f"{evidence.model_dump_json(indent=2)}\n",
        "report.md": render_markdown(report, evidence),
        "report.html": render_html(report, evidence),
    }
    if folder is not None:
        documents["sbom.cdx.json"] = render_sbom(report, evidence, folder=folder)
    return documents


def _read(path: Path, kind: type[Document]) -> Document:
    try:
        return kind.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        message = f"no {path.name} in {path.parent}"
        hint = "name a folder that `compress run` published"
        raise CompressError("report-missing", message, hint=hint) from None
    except OSError as error:
        message = f"cannot read {path}: {error.strerror or error}"
        raise CompressError("report-invalid", message, hint="check the file") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        message = f"{path}: {where}: {first['msg']}"
        hint = "it was changed or is of another version: run `compress verify`"
        raise CompressError("report-invalid", message, hint=hint) from None
