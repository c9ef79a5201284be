"""Bits by sensitivity in the report: a circle for each group, a row for each kind, one line in Markdown."""

import json
import re

from compress.core.report import Evidence
from compress.report.html import render_html
from compress.report.markdown import render_markdown
from compress.report.sensitivity import sensitivity_figure, summary, table
from tests.unit.report import example


def test_the_page_shows_every_group():
    report, evidence = example.mixed()
    html = render_html(report, evidence)
    drawing = html[html.index('id="sensitivity-wide') :]
    drawing = drawing[: drawing.index("</svg>")]
    circles = re.findall(r'<circle [^>]*r="([\d.]+)" class="(d-\d)"', drawing)
    assert len(circles) == len(evidence.sensitivity)
    wide = [float(radius) for radius, style in circles if style == "d-3"]
    assert min(wide) >= max(float(radius) for radius, style in circles if style == "d-4")
    assert "q_proj, k_proj, v_proj" in drawing


def test_one_line_says_it_in_markdown():
    report, evidence = example.mixed()
    line = summary(evidence)
    assert "bits a weight on average by measured sensitivity" in line
    assert "block 0: down_proj matters most (KL 0.016 nats a token alone)" in line
    assert "block 0: down\\_proj matters most" in render_markdown(report, evidence)
    assert table(evidence).rows[0][0].text == "block 0: down_proj"


def test_nothing_is_shown_where_all_have_the_same_bits():
    assert sensitivity_figure(example.evidence()) is None
    assert summary(example.evidence()) == ""
    assert 'id="sensitivity' not in render_html(example.report(), example.evidence())


def test_it_is_read_again_as_it_was_written():
    _, evidence = example.mixed()
    assert Evidence.model_validate(json.loads(evidence.model_dump_json())) == evidence
