"""Figures and verdicts in words."""

from __future__ import annotations

import pytest

from compress.core.report import BudgetLine
from compress.report import budgets, reproduce
from compress.report import format as fmt
from compress.report.headline import headline, size_ratio
from compress.report.html import render_html
from compress.report.markdown import render_markdown
from compress.report.terminal import as_text, summary
from tests.unit.report import example


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (4.031, "4.03"), (412.4, "412"), (12399.0, "12,400"), (0.02614, "0.0261"),
        (9.999, "10.00"), (1.2e-6, "1.20e-06"), (float("nan"), "nan"), (-0.5, "-0.500"),
    ],
)  # fmt: skip
def test_three_significant_digits(value, text):
    assert fmt.significant(value) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, fmt.ABSENT), (0, "0 B"), (999, "999 B"), (22_912_345, "22.9 MB"), (23_012_345, "23.0 MB"),
        (1.41e9, "1.41 GB"),
    ],
)  # fmt: skip
def test_sizes(count, text):
    assert fmt.size(count) == text


@pytest.mark.parametrize(
    ("value", "metric", "text"),
    [
        (0.0026, "spearman", "0.26 pt"), (-0.0012, "accuracy", "\u22120.12 pt"),
        (0.0456, "perplexity", "4.56%"), (-1e-9, "f1", "0.00 pt"), (None, "f1", fmt.ABSENT),
    ],
)  # fmt: skip
def test_drops(value, metric, text):
    assert fmt.drop(value, metric) == text


def test_text_from_files_is_one_clean_line_of_limited_length():
    assert fmt.clean("a\n\x1b[31m\tb\u202e") == "a ?[31m b?"
    assert len(fmt.clean("x" * 1000, 50)) == 50


def line(name, limit):
    return BudgetLine(name=name, limit=limit, value=1.0, bound=1.0, verdict="pass")


@pytest.mark.parametrize(
    ("name", "limit", "value"),
    [
        ("max_drop", "1%", 0.0082032), ("max-drop", "0.5pt", 0.005), ("max_size", "18MB", 18e6),
        ("min_speedup", "1.5x", 1.5), ("max_latency", "0.5s", 500.0), ("max_drop", "some words", None),
        ("other", "1", None),
    ],
)  # fmt: skip
def test_limits_as_numbers(name, limit, value):
    assert budgets.limit_value(line(name, limit), example.report()) == (value and pytest.approx(value))


def test_a_share_is_told_in_points_too():
    assert budgets.limit(line("max_drop", "1%"), example.report()) == f"{fmt.AT_MOST} 1% = 0.82 pt"


def test_the_headline_tells_the_gains_of_what_passed():
    found = headline(example.report())
    assert found.word == "Passed"
    assert all(part in found.first for part in ("3.94", "22.9 MB", "2.28", "0.8203", "0.8177"))
    assert "0.41 pt" in found.second


@pytest.mark.parametrize(
    ("verdict", "parts"),
    [
        ("fail", ("Accuracy drop is 1.48 pt", "outside the budget", "1.87 pt")),
        ("inconclusive", ("Accuracy drop is 0.43 pt", "could be as high as 1.31 pt", "too little evidence")),
    ],
)
def test_the_headline_tells_the_budget_that_decided(verdict, parts):
    assert all(part in headline(example.report(verdict)).first for part in parts)


def test_sizes_are_compared_with_the_best_baseline():
    assert size_ratio(example.report()) == pytest.approx(90387630 / 22912345)
    assert size_ratio(example.bare()[0]) is None


def test_the_recipe_that_is_shown_can_be_read_again(tmp_path):
    from compress.core.recipe import read_recipe

    evidence = example.evidence()
    lines = tuple(line.model_copy(update={"runtime": "openvino"}) for line in evidence.candidates)
    evidence = evidence.model_copy(update={"candidates": lines})
    path = tmp_path / "recipe.yaml"
    path.write_text(reproduce.recipe(example.report(), evidence), encoding="utf8")
    kept = [step for step in example.report().steps if step.kept]
    found = read_recipe(path)
    steps = found.steps
    assert found.runtime == "openvino"
    assert [step.name for step in steps] == [step.name for step in kept]
    assert "recipe" not in steps[1].config


def test_the_command_quotes_what_a_shell_would_read():
    import shlex

    ref = "folder with spaces; rm -rf $HOME"
    words = shlex.split(reproduce.command(example.report(ref=ref), example.evidence()))
    assert words[:3] == ["compress", "run", ref]
    assert words[words.index("--max-drop") + 1] == "1%"
    assert words[words.index("--data") + 1] == "stsb-test.tsv"
    assert "--column=text=sentence1" in words


def test_the_command_maps_labels_as_the_user_did():
    mapped = {"source": "a.csv", "label_map": {"bad": 0, "good": 1}}
    for basis, flags in (("by --label-map", ["--label-map=bad=0,good=1"]), ("the model's own names", [])):
        data = {**mapped, "label_map_basis": basis}
        evidence = example.evidence().model_copy(update={"data": data})
        words = reproduce.command(example.report(), evidence).split()
        assert [word for word in words if "label-map" in word] == flags


def test_the_shipped_sample_is_no_data_flag():
    evidence = example.evidence().model_copy(update={"data": {"source": "shipped text sample (x)"}})
    assert "--data" not in reproduce.command(example.report(), evidence)


def test_figures_under_limits_say_so_everywhere():
    target = {"constrained": True, "limits": ("1 of 8 cores", "1 of 16 GiB of memory (RLIMIT_DATA)")}
    found = example.report()
    found = found.model_copy(update={"target": found.target.model_copy(update=target)})
    words = "constrained to 1 of 8 cores, 1 of 16 GiB of memory"
    shown = as_text(summary(found, example.evidence()), width=200)
    assert words in shown
    text = render_markdown(found, example.evidence())
    assert "(constrained)" in text.splitlines()[0]
    assert words in text
    page = render_html(found, example.evidence())
    assert ">constrained<" in page
    assert words in page
    assert "constrained" not in render_html(example.report(), example.evidence())


def test_estimates_tell_the_error_of_the_fit():
    from compress.measure.roofline import FIT

    found = example.report(measured=False)
    found = found.model_copy(update={"target": found.target.model_copy(update={"estimate": FIT})})
    words = "off by 4% in the median and 23% at most (7 models"
    assert words in " ".join(as_text(summary(found, example.evidence()), width=400).split())
    assert words in render_markdown(found, example.evidence())
    assert words in " ".join(render_html(found, example.evidence()).split())
