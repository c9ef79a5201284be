"""report.md: what fits a pull request's comment and a job's summary."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from compress.core.visible import visible
from compress.report import cost, reproduce, sensitivity, tables, time_figures
from compress.report import format as fmt
from compress.report.headline import headline
from compress.report.tables import Cell, Table
from compress.report.target import sentence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compress.core.report import Evidence, Report

LIMIT = 60_000
"""Characters. GitHub refuses comments of more than 65,536."""

_ROWS = 40
_JOINER = "\u2060"
"""GitHub looks for mentions and links in the rendered text: this character, which has no width, breaks them
up. `clean` takes a stranger's out."""
_SIGNS = {"pass": "✅", "fail": "❌", "inconclusive": "⚠️"}


def render_markdown(report: Report, evidence: Evidence) -> str:
    """The report as GitHub-flavoured Markdown; details that would make it too long are left out."""
    text, left_out = "", []
    for title, section in _sections(report, evidence):
        if len(text) + len(section) < LIMIT:
            text += f"{section}\n\n"
        else:
            left_out.append(title)
    if left_out:
        text += f"Left out for length, see `report.html`: {', '.join(left_out)}.\n"
    return visible(text.rstrip("\n") + "\n", keep=f"\n{_JOINER}")


def _sections(report: Report, evidence: Evidence) -> list[tuple[str, str]]:
    found = [
        ("verdict", _verdict(report)),
        ("figures", markdown_table(_figures(report))),
        ("cost", _cost(report, evidence)),
        ("budgets", markdown_table(tables.budgets(report))),
        ("operators", _operators(report)),
        ("notes", _notes(evidence)),
        ("candidates", _details(tables.candidates(report, evidence))),
        ("steps", _details(tables.steps(report))),
        ("bytes", _details(tables.components(evidence)) if evidence.components else ""),
        ("sensitivity", escape(sensitivity.summary(evidence))),
        ("provenance", _provenance(report, evidence)),
    ]
    return [(title, section) for title, section in found if section]


def _verdict(report: Report) -> str:
    words = headline(report)
    model, profile = (_code(text) for text in (report.model.ref, report.target.profile))
    marked = "" if report.target.measured else " (speed, time and memory estimated)"
    marked = " (constrained)" if report.target.constrained else marked
    title = f"## {_SIGNS[words.verdict]} {words.word}: {model} for {profile}{marked}"
    lines = (title, f"**{escape(words.first)}**", escape(words.second), escape(sentence(report.target)))
    return "\n\n".join(line for line in lines if line)


def _figures(report: Report) -> Table:
    """The measurements, with accuracy and the speedup over each baseline as further rows."""
    measured = tables.measurements(report)
    names = [name for name, _ in tables.contenders(report)]
    rows = [row for row in (_speedup_row(report, names), _accuracy_row(report, names)) if row]
    return Table("Figures", measured.columns, (*measured.rows, *rows))


def _speedup_row(report: Report, names: Sequence[str]) -> tuple[Cell, ...] | None:
    known = tables.headline_speedups(report)
    if not any(known.values()):
        return None
    label = tables.estimated("throughput of the artifact against it", report)
    return Cell(label), *(Cell(fmt.interval(known.get(name))) for name in names)


def _accuracy_row(report: Report, names: Sequence[str]) -> tuple[Cell, ...] | None:
    found = report.accuracy
    if found is None:
        return None
    bound = fmt.drop(found.drop_upper_95, found.metric)
    result = f"{fmt.score(found.result)}, {fmt.drop(found.drop, found.metric)} lost (at most {bound})"
    cells = [Cell(fmt.score(found.baseline) if name == names[0] else fmt.ABSENT) for name in names[:-1]]
    kind = "fidelity, " if found.kind == "fidelity" else ""
    label = f"{fmt.metric_name(found.metric)} ({kind}{found.items:,} items)"
    return Cell(label), *cells, Cell(result)


def _cost(report: Report, evidence: Evidence) -> str:
    found, words = cost.table(report, evidence), escape(cost.thinking(report))
    known = len(found.columns) > len(("", "time"))  # the time alone says no more than the throughput
    return "\n\n".join(part for part in (words, _details(found) if known else "") if part)


def _operators(report: Report) -> str:
    words = escape(time_figures.words(report), 1000)
    return "\n\n".join(part for part in (words, _details(time_figures.by_type(report))) if part)


def _notes(evidence: Evidence) -> str:
    lines = [f"> - {escape(line)}" for line in [*evidence.noise, *evidence.notes][:_ROWS]]
    return "\n".join(["> **To keep in mind:**", *lines]) if lines else ""


def _provenance(report: Report, evidence: Evidence) -> str:
    facts = [("data", evidence.data), ("host", evidence.host), ("versions", evidence.versions)]
    lines = [f"- **{title}**: {escape(fmt.describe(values), 1500)}" for title, values in facts if values]
    lines += [f"- **parity**: {escape(fmt.describe(evidence.parity), 1500)}"] if evidence.parity else []
    code = f"{reproduce.recipe(report, evidence)}\n# {reproduce.command(report, evidence)}"
    fence = "`" * (3 + max((len(run) for run in re.findall("`+", code)), default=0))
    block = f"{fence}yaml\n{code}\n{fence}"
    return _folded("Provenance, and how to make it again", "\n".join([*lines, "", block]))


def _details(table: Table) -> str:
    if not table.rows:
        return ""
    return _folded(f"{table.title} ({len(table.rows)})", markdown_table(table))


def _folded(title: str, content: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{content}\n\n</details>"


def markdown_table(table: Table) -> str:
    """A table as GitHub-flavoured Markdown, empty without rows."""
    if not table.rows:
        return ""
    lines = [_line(table.columns), _line(["---"] * len(table.columns), escaped=True)]
    lines += [_line([cell.text for cell in row]) for row in table.rows[:_ROWS]]
    if len(table.rows) > _ROWS:
        lines.append(f"\n… and {len(table.rows) - _ROWS} more in `report.html`.")
    return "\n".join(lines)


def _line(texts: Sequence[str], *, escaped: bool = False) -> str:
    cells = texts if escaped else [escape(text, 160) for text in texts]
    return f"| {' | '.join(cells)} |"


def escape(text: str, limit: int = 400) -> str:
    """Text that Markdown shows as it is: no markup, no HTML, no mention of a user, no link."""
    text = _escaped(fmt.clean(text, limit))
    for sign, broken in (("@", f"@{_JOINER}"), ("://", f":{_JOINER}//"), ("www.", f"www{_JOINER}.")):
        text = text.replace(sign, broken)
    return text


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|~#!&])", r"\\\1", text)


def _code(text: str) -> str:
    return f"<code>{_escaped(fmt.clean(text, 200))}</code>"
