from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.core.report import CandidateLine
from compress.report.markdown import escape, render_markdown
from tests.unit.report import example


def test_the_verdict_and_the_figures_come_before_the_details():
    text = render_markdown(example.report(), example.evidence())
    assert text.startswith("## ✅ Passed: <code>sentence-transformers/all-MiniLM-L6-v2@c9745ed1d9f2</code>")
    head = text[: text.index("<details>")]
    for figure in ("90.9 MB", "22.9 MB", "3.97 ms", "203 /s", "0.8177", "0.26 pt", "2.28"):
        assert figure in head


@pytest.mark.parametrize(("verdict", "sign"), [("fail", "❌ Failed"), ("inconclusive", "⚠️ Inconclusive")])
def test_what_did_not_pass_says_why(verdict, sign):
    first, _, reason = render_markdown(example.report(verdict), example.evidence()).split("\n")[:3]
    assert sign in first
    assert "Accuracy drop" in reason


def test_details_are_folded_and_balanced():
    text = render_markdown(example.report(), example.evidence())
    assert text.count("<details>") == text.count("</details>") == 5
    for line in re.findall(r"^\|.*$", text, re.MULTILINE):
        assert line.endswith("|")


@pytest.mark.parametrize("count", [0, 30, 400])
def test_it_always_fits_a_comment(count):
    why = "|`*_<&[" * 80
    one = CandidateLine(name=why, runtime=why, size_bytes=1, drop=0.1, kept=False, why=why)
    evidence = example.evidence().model_copy(update={"candidates": (one,) * count, "notes": [why] * count})
    steps = tuple(
        step.model_copy(update={"config": {why: why}, "why": why}) for step in example.report().steps
    )
    report = example.report().model_copy(update={"steps": steps * (count + 1)})
    text = render_markdown(report, evidence)
    assert len(text) < 65_000
    assert "Passed" in text


def test_rows_of_a_table_have_as_many_cells_as_its_head():
    text = render_markdown(*example.hostile("a|b\n|c\\|d `x` <b> @someone https://x.example #1"))
    cells = None
    for line in text.splitlines():
        count = len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) if line.startswith("|") else None
        assert cells is None or count is None or count == cells
        cells = count


def test_names_of_users_and_links_stay_text():
    text = render_markdown(*example.hostile("@someone https://x.example <img src=x> [a](b)"))
    outside = re.sub(r"```+yaml.*?```+", "", re.sub(r"<code>.*?</code>", "", text), flags=re.DOTALL)
    assert "@someone" not in outside
    assert "https://" not in outside
    assert re.search(r"(?<!\\)<img", outside) is None
    assert re.search(r"(?<!\\)\[a", outside) is None


def test_a_fence_in_a_name_does_not_end_the_code_block():
    text = render_markdown(*example.hostile("```\n<script>"))
    fence = re.search(r"^(`{3,})yaml$", text, re.MULTILINE).group(1)
    assert text.count(fence) == 2


@given(st.text(max_size=60))
def test_escaping_leaves_no_markup(text):
    escaped = escape(text)
    assert "\n" not in escaped
    assert (
        re.search(r"(?<!\\)(?:\\\\)*[`*_\[\]<>|~#!&]", re.sub(r"\\[`*_\[\]<>|~#!&\\]", "", escaped)) is None
    )


def test_a_report_without_anything_renders():
    assert render_markdown(*example.bare()).startswith("## ✅ Passed")


def test_the_operators_that_take_most_are_named_before_the_details():
    text = render_markdown(example.report(), example.evidence())
    (line,) = [line for line in text.splitlines() if line.startswith("Operators of one call")]
    assert "ONNX Runtime fp32: MatMul 214 ms (79%), Attention 30.8 ms (11%), Gelu 17.2 ms (6%)" in line
    assert "this artifact: DynamicQuantizeMatMul 61.3 ms (45%)" in line
    assert "Operators of one call" not in render_markdown(example.report(measured=False), example.evidence())
