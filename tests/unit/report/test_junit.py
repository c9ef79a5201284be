from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from compress.core.errors import ExitCode
from compress.core.outcome import JobOutcome, worst
from compress.report.jobs import markdown, table
from compress.report.junit import render_junit
from tests.unit.report import example

NASTY = "<script>alert('x')</script> ]]> & \x00\x1b[31m \u202e"


def outcome(verdict="pass", code=ExitCode.OK, **values):
    facts = {"report": example.report(verdict), "evidence": example.evidence()}
    return JobOutcome(model="org/name", target="cpu", exit_code=code, **{**facts, **values})


def failed(code=ExitCode.USER, error="error[data-empty]: no rows"):
    return JobOutcome(model="org/name", target="cpu", exit_code=code, error=error, hint="give some")


def suite(one):
    return ET.fromstring(render_junit([one])).find("testsuite")


def test_each_budget_is_a_test():
    found = suite(outcome())
    assert [case.get("name") for case in found.iter("testcase")] == ["accuracy drop", "speedup", "size"]
    assert {key: found.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "3", "failures": "0", "errors": "0", "skipped": "0",
    }  # fmt: skip


def test_a_missed_budget_is_a_failure_with_its_number():
    found = suite(outcome("fail", ExitCode.BUDGET_MISSED))
    assert found.get("failures") == "1"
    assert "1.48 pt" in found.find("testcase/failure").get("message")


@pytest.mark.parametrize(("code", "kind"), [(ExitCode.INCONCLUSIVE, "failure"), (ExitCode.OK, "skipped")])
def test_an_undecided_budget_fails_where_it_fails_the_job(code, kind):
    assert suite(outcome("inconclusive", code)).find(f"testcase/{kind}") is not None


def test_a_run_without_a_report():
    assert suite(failed()).find("testcase/error").get("message").startswith("error[data-empty]")
    assert suite(failed(ExitCode.BUDGET_MISSED)).find("testcase/failure") is not None


def test_text_of_models_cannot_break_the_document():
    report, evidence = example.hostile(NASTY)
    one = JobOutcome(model=NASTY, target=NASTY, exit_code=ExitCode.OK, report=report, evidence=evidence)
    for document in (render_junit([one]), render_junit([failed(error=NASTY)])):
        assert ET.fromstring(document).find("testsuite") is not None


def test_the_summary_of_several_runs_has_a_table_and_every_page():
    text = markdown([outcome(), failed()])
    assert text.count("## ") == 3
    assert "| model | target | verdict |" in text
    assert "no rows" in text
    assert len(table([outcome(), failed()]).rows) == 2
    assert "| model |" not in markdown([outcome()])


@pytest.mark.parametrize(
    ("codes", "expected"),
    [([], 0), ([0, 0], 0), ([0, 4], 4), ([4, 1, 0], 1), ([1, 2, 4], 2), ([2, 3, 1], 3)],
)
def test_the_one_exit_code(codes, expected):
    assert worst([ExitCode(code) for code in codes]) == expected
