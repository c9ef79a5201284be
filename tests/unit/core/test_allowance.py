from __future__ import annotations

import pytest

from compress.core.allowance import allowed_drop
from compress.core.errors import CompressError
from compress.core.units import parse_max_drop


@pytest.mark.parametrize(
    ("text", "metric", "baseline", "allowed"),
    [
        ("1%", "accuracy", 0.8, 0.008),
        ("0.5pt", "accuracy", 0.8, 0.005),
        ("1%", "spearman", -0.2, 0.002),
        ("1%", "perplexity", 23.4, 0.01),
        ("1.05x", "perplexity", 23.4, 0.05),
        ("0.5pt", "perplexity", 25.0, 0.02),
        ("1%", "wer", 0.05, 0.0095),
        ("0.5pt", "wer", 0.05, 0.005),
        ("1.1x", "wer", 0.05, 0.005),
    ],
)
def test_budgets_in_units_of_each_metric(text, metric, baseline, allowed):
    found = allowed_drop(parse_max_drop(text), metric=metric, baseline=baseline)
    assert found == pytest.approx(allowed)


def test_a_ratio_of_a_score_is_refused():
    with pytest.raises(CompressError) as caught:
        allowed_drop(parse_max_drop("1.05x"), metric="accuracy", baseline=0.9)
    assert caught.value.code == "budget-invalid"
    assert "1%" in caught.value.hint
