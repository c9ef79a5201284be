from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from compress.report.terminal import as_text, summary
from tests.unit.report import example

CASES = [
    (example.report(), example.evidence()),
    (example.report("fail", measured=False), example.evidence()),
    example.decoder(),
    example.bare(),
]


@pytest.mark.parametrize("width", [80, 100, 160])
@pytest.mark.parametrize("case", CASES)
def test_it_fits_and_is_ascii_but_for_the_rules(case, width):
    text = as_text(summary(*case), width)
    assert all(len(line) <= width for line in text.splitlines())
    assert text.replace("─", "-").isascii()


def test_before_and_after_stand_in_one_row():
    text = as_text(summary(example.report(), example.evidence(), folder="out"), 120)
    rows = {line.split("  ")[0].strip(): line for line in reversed(text.splitlines())}
    assert "PASSED" in rows
    assert all(part in rows["size"] for part in ("90.9 MB", "90.4 MB", "22.9 MB", "3.94x"))
    assert all(part in rows["throughput"] for part in ("203 /s", "2.47x (2.39-2.55)", "2.28x (2.22-2.34)"))
    assert all(part in rows["Spearman"] for part in ("0.8203", "0.8177", "0.26 pt lost (<= 0.41 pt)"))
    assert "see out/report.html" in text


def render(*, color_system, no_color=False):
    file = StringIO()
    console = Console(file=file, width=120, force_terminal=True, color_system=color_system, no_color=no_color)
    for part in summary(example.report(), example.evidence()):
        console.print(part)
    return file.getvalue()


def test_colour_only_where_it_is_wanted():
    assert "\x1b[1;32m" in render(color_system="standard")
    assert "\x1b[1;32m" not in render(color_system="standard", no_color=True)
    assert "\x1b" not in as_text(summary(example.report(), example.evidence()))


def test_names_are_no_markup():
    text = as_text(summary(*example.hostile("[red]x[/red] \x1b[31m[/]")), 200)
    assert "[red]x[/red]" in text
    assert "\x1b" not in text
