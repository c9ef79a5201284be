from __future__ import annotations

import pytest

from compress.core.cost import Cost, cost
from compress.core.profile import load_profile, priced
from compress.core.report import Figures
from compress.pipeline.costs import cost_of, costs_of
from compress.report import cost as words
from compress.report.html import render_html
from compress.report.markdown import render_markdown
from tests.unit.report import example

PAID = priced(load_profile("cpu"), watts=36.0, price_per_hour=0.9)


def test_by_hand():
    """20 ms each at 36 W and 0.9 USD an hour: 1,000 take 20 s, 720 J and half a cent."""
    found = cost("1,000 inferences", each_s=0.02, watts=36, price_per_hour=0.9)
    expected = Cost(unit="1,000 inferences", seconds=20, joules=720, energy="estimated", usd=0.005)
    assert found.model_dump() == pytest.approx(expected.model_dump())


def test_what_was_metered_wins_over_watts():
    found = cost("1,000 inferences", each_s=0.02, watts=36, price_per_hour=None, joules_each=0.5)
    assert (found.joules, found.energy, found.usd) == (500, "measured", None)
    assert cost("1,000 inferences", each_s=0.02, watts=None, price_per_hour=None).joules is None


def test_decoders_are_paid_by_the_token():
    found = cost_of(Figures(size_bytes=1, decode_tokens_per_s=100.0), PAID, joules_each=None)
    assert found.unit == "1,000,000 tokens"
    assert found.seconds == pytest.approx(10_000)
    assert found.usd == pytest.approx(2.5)
    assert cost_of(Figures(size_bytes=1), PAID, joules_each=None) is None


def test_profiles_have_what_costs_need():
    assert load_profile("laptop").watts
    assert (
        priced(load_profile("laptop"), watts=None, price_per_hour=1.0).watts == load_profile("laptop").watts
    )


@pytest.fixture
def costed():
    report = example.report()
    figures = {"onnxruntime_fp32": report.baselines.onnxruntime_fp32, "result": report.result}
    evidence = example.evidence()
    return report, evidence.model_copy(
        update={"costs": costs_of(figures, PAID, joules_each={"result": 0.04})}
    )


def test_the_table_says_what_was_measured(costed):
    table = words.table(*costed)
    assert table.title == "Cost of 1,000 inferences"
    assert [cell.text for cell in table.rows[1]] == ["this artifact", "4.92 s", "40.0 J", "$0.00123"]
    assert table.rows[0][2].text.endswith("(estimated)")
    for page in (render_html(*costed), render_markdown(*costed)):
        assert "$0.00123" in page


def test_thinking_budget_is_the_ratio_with_its_interval(costed):
    said = words.thinking(costed[0])
    assert "2.28 (2.22\u20132.34) steps for what one of ONNX Runtime fp32 costs" in said
    assert said in render_html(*costed)
    assert "(estimated)" in words.thinking(example.report(measured=False))


def test_nothing_known_nothing_said():
    report, evidence = example.bare()
    assert words.thinking(report) == ""
    assert words.table(report, evidence).rows == ()
    assert 'id="cost"' not in render_html(report, evidence)
