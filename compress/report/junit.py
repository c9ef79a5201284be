"""Outcomes as JUnit XML, which CI systems show as tests: a suite for each run, a test for each budget."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from compress.core.errors import ExitCode
from compress.core.visible import visible
from compress.report import budgets
from compress.report import format as fmt
from compress.report.headline import headline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compress.core.outcome import JobOutcome
    from compress.core.report import BudgetLine, Report


def render_junit(outcomes: Sequence[JobOutcome]) -> str:
    """The whole document. Text from models is reduced to what XML can hold."""
    root = ET.Element("testsuites", name="compress")
    for one in outcomes:
        _suite(root, one)
    _count(root, list(root.iter("testcase")))
    ET.indent(root)
    text = visible(ET.tostring(root, encoding="unicode"), keep="\n")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _suite(root: ET.Element, one: JobOutcome) -> None:
    suite = ET.SubElement(root, "testsuite", name=_text(one.name))
    if one.evidence is not None:
        suite.set("timestamp", _text(one.evidence.created))
    if one.report is None:
        _unfinished(suite, one)
        return
    _properties(suite, one.report)
    for line in one.report.gate.budgets:
        _budget(_case(suite, one, budgets.name(line)), line, one.report, one.exit_code)
    if not one.report.gate.budgets:
        _case(suite, one, "run")
    _count(suite, list(suite))


def _unfinished(suite: ET.Element, one: JobOutcome) -> None:
    """A run without a report: over budget, or an error."""
    missed = one.exit_code is ExitCode.BUDGET_MISSED
    case = _case(suite, one, "run")
    problem = ET.SubElement(case, "failure" if missed else "error", message=_text(one.error))
    problem.set("type", "budget-missed" if missed else "error")
    problem.text = _text(one.hint)
    _count(suite, [case])


def _case(suite: ET.Element, one: JobOutcome, name: str) -> ET.Element:
    place = f"compress.{_text(one.model).replace('.', '_')}.{_text(one.target).replace('.', '_')}"
    return ET.SubElement(suite, "testcase", classname=place, name=name, time="0")


def _budget(case: ET.Element, line: BudgetLine, report: Report, code: ExitCode) -> None:
    value, bound = (budgets.value(number, line, report) for number in (line.value, line.bound))
    words = f"{budgets.name(line)} {value}, bound {bound}, budget {budgets.limit(line, report)}"
    if line.verdict == "fail":
        ET.SubElement(case, "failure", type="budget-missed", message=_text(words))
    elif line.verdict == "inconclusive" and code is ExitCode.INCONCLUSIVE:
        ET.SubElement(case, "failure", type="budget-undecided", message=_text(words))
    elif line.verdict == "inconclusive":
        ET.SubElement(case, "skipped", message=_text(f"undecided: {words}"))
    ET.SubElement(case, "system-out").text = _text(words)


def _properties(suite: ET.Element, report: Report) -> None:
    parent = ET.SubElement(suite, "properties")
    for key, _, _ in fmt.FIGURES:
        value = fmt.figure(report.result, key)
        if value is not None:
            ET.SubElement(parent, "property", name=key, value=f"{value:.6g}")
    ET.SubElement(parent, "property", name="summary", value=_text(headline(report).first))


def _count(parent: ET.Element, cases: list[ET.Element]) -> None:
    cases = [case for case in cases if case.tag == "testcase"]
    parent.set("tests", str(len(cases)))
    for kind, plural in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        parent.set(plural, str(sum(case.find(kind) is not None for case in cases)))


def _text(text: str) -> str:
    return fmt.clean(text, 1000)
