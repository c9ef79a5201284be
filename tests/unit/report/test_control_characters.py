"""No form of a report holds a control character, wherever a stranger wrote one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from compress.core.errors import CompressError, ExitCode
from compress.core.outcome import JobOutcome
from compress.core.report import Evidence, Report
from compress.core.visible import visible
from compress.report.files import render_all
from compress.report.jobs import markdown
from compress.report.junit import render_junit
from compress.report.terminal import as_text, summary
from tests.unit.report import example

HOSTILE = "\x1b[2J\x9b31m\u202e\u2028\u2060@all\x7f\x00<script>"


def spoiled(values: Any) -> Any:
    """Every text that is free, with escapes added; keys of free mappings, too."""
    if isinstance(values, dict):
        return {key: spoiled(value) for key, value in values.items()}
    if isinstance(values, list):
        return [spoiled(value) for value in values]
    return f"{values}{HOSTILE}" if isinstance(values, str) else values


def documents() -> list[tuple[Report, Evidence]]:
    """The example with one text after the other spoiled, where the schema lets it be."""
    found = []
    report, evidence = example.report().model_dump(mode="json"), example.evidence().model_dump(mode="json")
    for kind, values in ((Report, report), (Evidence, evidence)):
        for key, value in values.items():
            try:
                changed = kind.model_validate({**values, key: spoiled(value)})
            except ValueError:
                continue
            found.append((changed, example.evidence()) if kind is Report else (example.report(), changed))
    model = {**report, "model": {**report["model"], "ref": f"org/name{HOSTILE}"}}
    return [*found, (Report.model_validate(model), example.evidence())]


def refuse_hidden(text: str, *, keep: str = "\n") -> None:
    assert visible(text, keep=keep) == text


@pytest.mark.parametrize("number", range(len(documents())))
def test_no_form_holds_a_control_character(number) -> None:
    report, evidence = documents()[number]
    for name, text in render_all(report, evidence).items():
        refuse_hidden(text, keep="\n\u2060" if name == "report.md" else "\n")
    assert Report.model_validate(json.loads(render_all(report, evidence)["report.json"])) == report
    refuse_hidden(as_text(summary(report, evidence, folder=HOSTILE)))
    outcome = JobOutcome(
        model=report.model.ref, target=HOSTILE, exit_code=ExitCode.OK, report=report, evidence=evidence,
        folder=HOSTILE,
    )  # fmt: skip
    refuse_hidden(render_junit([outcome]))
    refuse_hidden(markdown([outcome, outcome]), keep="\n\u2060")


def test_an_error_of_a_job_holds_no_control_character() -> None:
    error = CompressError("x", HOSTILE, hint=HOSTILE)
    outcome = JobOutcome(
        model=HOSTILE, target=HOSTILE, exit_code=ExitCode.USER, error=str(error), hint=error.hint
    )
    refuse_hidden(render_junit([outcome]))
    refuse_hidden(markdown([outcome]), keep="\n\u2060")


def test_a_strangers_joiner_does_not_reach_markdown() -> None:
    report, evidence = documents()[-1]
    assert "\u2060\u2060" not in render_all(report, evidence)["report.md"]
