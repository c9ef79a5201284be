from __future__ import annotations

import json
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from compress.report.html import render_html
from tests.unit.report import example
from tests.unit.report.pages import Page

HOSTILE = (
    "\"'><script>alert(1)</script><img src=https://evil.example/x onerror=alert(1)>{{7*7}}\n\x1b[31m</style>"
)

CASES = {
    "pass": (example.report(), example.evidence()),
    "fail": (example.report("fail"), example.evidence()),
    "inconclusive": (example.report("inconclusive"), example.evidence()),
    "estimated": (example.report(measured=False), example.evidence()),
    "decoder": example.decoder(),
    "mixed": example.mixed(),
    "bare": example.bare(),
    "hostile": example.hostile(HOSTILE),
}


@pytest.fixture(scope="module", params=CASES)
def case(request):
    return CASES[request.param]


@pytest.fixture(scope="module")
def html(case):
    return render_html(*case)


def numbers(value):
    if isinstance(value, bool) or value is None:
        return []
    if isinstance(value, int | float):
        return [value]
    if isinstance(value, dict):
        return [number for item in value.values() for number in numbers(item)]
    return [n for item in value for n in numbers(item)] if isinstance(value, list | tuple) else []


def test_every_number_of_the_report_is_in_the_page(case, html):
    shown = {attributes["value"] for attributes in Page(html).all("data")}
    report = case[0].model_dump()
    configs = [step.pop("config") for step in report["steps"]]
    assert {repr(number) for number in numbers(report)} - {"0"} <= shown | {"0"}
    for number in numbers(configs):
        assert json.dumps(number) in html


def test_nothing_is_loaded_and_nothing_runs(html):
    page = Page(html)
    for tag, attributes in page.elements:
        assert tag not in {"script", "iframe", "object", "embed", "img", "base", "form"}
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name not in {"src", "srcset", "action", "data", "xlink:href"}
            if name == "href":
                assert value == "data:," or value.startswith("#")
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL).group(1)
    assert "url(" not in style
    assert "@import" not in style
    assert any("default-src 'none'" in meta.get("content", "") for meta in page.all("meta"))


def test_links_inside_the_page_lead_somewhere_and_ids_are_unique(html):
    page = Page(html)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for link in page.all("a"):
        assert link["href"][1:] in ids


def test_plots_are_announced_by_title_and_description(html):
    page = Page(html)
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    for plot in page.all("svg"):
        assert plot["role"] == "img"
        assert set(plot["aria-labelledby"].split()) <= ids
    assert len(page.all("svg")) == 2 * len(page.all("figure"))


def test_headings_skip_no_level(html):
    levels = [int(tag[1]) for tag, _ in Page(html).elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_drawings_stay_inside_their_frames(html):
    """Every mark but text, whose width is unknown here, lies in the view box."""
    for drawing in re.findall(r"<svg.*?</svg>", html, re.DOTALL):
        root = ElementTree.fromstring(drawing)
        width, height = map(float, root.get("viewbox", root.get("viewBox")).split()[2:])
        for mark in root.iter():
            across = [mark.get(name) for name in ("x", "x1", "x2", "cx") if mark.get(name)]
            down = [mark.get(name) for name in ("y", "y1", "y2", "cy") if mark.get(name)]
            assert all(-0.5 <= float(x) <= width + 0.5 for x in across)
            assert all(-0.5 <= float(y) <= height + 0.5 for y in down)


def test_hostile_text_is_shown_as_text():
    html = render_html(*example.hostile(HOSTILE))
    page = Page(html)
    assert "<script>alert(1)</script>" in page.text
    assert "{{7*7}}" in page.text
    assert "\x1b" not in html


@pytest.mark.parametrize(
    ("verdict", "word"), [("pass", "Passed"), ("fail", "Failed"), ("inconclusive", "Inconclusive")]
)
def test_the_verdict_comes_first(verdict, word):
    text = Page(render_html(example.report(verdict), example.evidence())).text
    body = text[text.index("Skip to") :]
    assert body.index(word) < body.index("Size")


def test_estimated_figures_say_so_and_measured_ones_do_not():
    evidence = example.evidence().model_copy(update={"savings": ()})  # always of an estimate
    measured = Page(render_html(example.report(), evidence)).text
    estimated = Page(render_html(example.report(measured=False), example.evidence())).text
    assert "estimated" not in measured
    for label in ("Latency, batch 1", "Throughput", "latency, median", "peak memory", "speedup"):
        assert f"{label} (estimated)" in estimated
    assert "size (estimated)" not in estimated.lower()


def test_each_figure_has_its_numbers_as_a_table_too():
    page = Page(render_html(example.report(), example.evidence()))
    captions = page.text
    for name in (
        "Speedups",
        "Raw times",
        "Accuracy",
        "Where the bytes are",
        "Candidates",
        "Measurements",
        "Latency by operator",
    ):
        assert name in captions


def test_a_long_measurement_is_still_a_small_page():
    evidence = example.evidence()
    many = tuple(one.model_copy(update={"seconds": one.seconds * 500}) for one in evidence.samples)
    html = render_html(example.report(), evidence.model_copy(update={"samples": many}))
    assert len(html) < 400_000
    assert "400 a row at most" in html
    assert "30,000" in Page(html).text
