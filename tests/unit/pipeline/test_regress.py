"""What counts as worse than before, and that the same artifact measured twice does not."""

from __future__ import annotations

import numpy as np
import pytest

from compress.core.errors import CompressError
from compress.core.report import Ratio, Speedup
from compress.pipeline.regress import regressions
from tests.unit.report import example

DATA = ({"digest": "a"}, {"digest": "a"})
OLD = example.report()


def changed(**values):
    return OLD.model_copy(update=values)


def with_result(**values):
    return changed(result=OLD.result.model_copy(update=values))


def with_speedup(value, low, high):
    ratio = Ratio(value=value, low=low, high=high)
    return changed(speedup=Speedup(vs_torch=None, vs_onnxruntime_fp32=ratio))


def with_drop(drop, upper):
    return changed(accuracy=OLD.accuracy.model_copy(update={"drop": drop, "drop_upper_95": upper}))


def test_the_same_report_is_no_regression():
    gate = regressions(OLD, OLD, data=DATA)
    assert gate.verdict == "pass"
    assert [line.name for line in gate.budgets] == ["max_size", "max_memory", "min_speedup", "max_drop"]


@pytest.mark.parametrize(
    ("new", "failing"),
    [
        (with_result(size_bytes=int(OLD.result.size_bytes * 1.02)), "max_size"),
        (with_result(peak_rss_bytes=int(OLD.result.peak_rss_bytes * 1.2)), "max_memory"),
        (with_speedup(2.0, 1.9, 2.1), "min_speedup"),
        (with_drop(0.0126, 0.0146), "max_drop"),
    ],
)
def test_each_thing_that_got_worse_is_found(new, failing):
    gate = regressions(new, OLD, data=DATA)
    assert gate.verdict == "fail"
    assert [line.name for line in gate.budgets if line.verdict == "fail"] == [failing]


@pytest.mark.parametrize(
    "new",
    [
        with_result(size_bytes=int(OLD.result.size_bytes * 1.005)),
        with_speedup(2.2, 2.1, 2.3),  # slower, but the intervals meet
        with_drop(0.0035, 0.005),  # lower, by less than both bounds leave open
        with_drop(0.0001, 0.0002),  # better
    ],
)
def test_what_is_within_the_evidence_is_none(new):
    assert regressions(new, OLD, data=DATA).verdict == "pass"


def test_the_same_model_on_new_samples_is_called_worse_in_at_most_one_of_twenty():
    random = np.random.default_rng(0)
    error, runs = 0.004, 2000
    drops = random.normal(0.01, error, (runs, 2))
    found = [
        regressions(with_drop(a, a + 1.6449 * error), with_drop(b, b + 1.6449 * error), data=DATA).verdict
        for a, b in drops
    ]
    assert found.count("fail") / runs <= 0.06


def test_on_other_data_accuracy_is_undecided():
    gate = regressions(OLD, OLD, data=({"digest": "a"}, {"digest": "b"}))
    assert gate.verdict == "inconclusive"


def test_memory_of_another_machine_is_left_out():
    new = changed(target=OLD.target.model_copy(update={"host": "another"}))
    assert "max_memory" not in [line.name for line in regressions(new, OLD, data=DATA).budgets]


def test_reports_of_another_kind_are_refused():
    with pytest.raises(CompressError, match="differ in target"):
        regressions(example.report(measured=False), OLD, data=DATA)
