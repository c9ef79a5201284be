"""Slower is said as slower, everywhere by the same words."""

from __future__ import annotations

import pytest

from compress.core.report import Ratio
from compress.report import format as fmt
from compress.report.headline import gains
from compress.report.html import render_html
from compress.report.markdown import render_markdown
from compress.report.terminal import as_text, summary
from tests.unit.report import example

SLOW = Ratio(value=0.0494, low=0.045, high=0.055)


@pytest.mark.parametrize(
    ("value", "words"),
    [(2.714, "2.71x"), (1.0, "1.00x"), (0.0494, "20.2x slower"), (0.5, "2.00x slower"), (None, "-")],
)
def test_a_ratio_below_one_is_turned_round(value, words):
    assert fmt.plain(fmt.gain(value)) == words


def test_its_interval_is_turned_round_too():
    assert fmt.plain(fmt.interval(SLOW)) == "20.2x slower (18.2-22.2)"
    assert fmt.plain(fmt.interval(Ratio(value=2.7, low=2.6, high=2.8))) == "2.70x (2.60-2.80)"


def test_no_document_writes_a_fraction_as_a_speed():
    report = example.report()
    slower = report.speedup.model_copy(update={"vs_onnxruntime_fp32": SLOW, "vs_torch": SLOW})
    report, evidence = report.model_copy(update={"speedup": slower}), example.evidence()
    assert "20.2x slower than ONNX Runtime fp32" in fmt.plain(gains(report))
    texts = [
        as_text(summary(report, evidence)),
        render_html(report, evidence),
        render_markdown(report, evidence),
    ]
    for text in texts:
        assert "0.0494x" not in fmt.plain(text)
